"""Inner positions of a trunk: the feature map that a head there would read, and where its attention lies.

One interface for networks whose positions are layers and whose attention is computed, and for those whose positions are
blocks and whose attention has to be read off the map; each family has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from models.detector import Detector


@dataclass(frozen=True)
class FeatureMap:
    """What a trunk has made of some images up to one position.

    Args:
        map: [N, C, h, w], what a head reads there.
        attention: [N, h, w], nonnegative, summing to 1 per image.
    """

    map: Tensor
    attention: Tensor


@dataclass(frozen=True)
class Inspector:
    """How the feature maps inside a family's trunk are read.

    Args:
        unit: what its positions are called, "block" or "layer".
        positions: (detector) -> those there are.
        usual: those that are used when none are named.
        feature_maps: (one-exit detector, increasing positions, images as the detector takes them, [N, 3, size, size])
            -> a FeatureMap after each; the trunk runs no further than the last of them.
    """

    unit: str
    positions: Callable[[Detector], range]
    usual: tuple[int, ...]
    feature_maps: Callable[[Detector, Sequence[int], Tensor], list[FeatureMap]]
