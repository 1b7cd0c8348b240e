"""The inspector of SSDLite: the map after a trunk block, and its energy, which stands for attention."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from models.detector import Detector
from models.inspector import FeatureMap, Inspector
from models.ssdlite.exits import EARLY, LATE, whole


def after_blocks(detector: Detector, after: Sequence[int], images: Tensor) -> list[FeatureMap]:
    """The maps of a one-exit SSDLite after some trunk blocks.

    A convolution has no attention of its own; the map's `energy` stands for it.

    Args:
        detector: one-exit and uncut.
        after: increasing block indices.
        images: [N, 3, size, size], as the detector takes them.
    """
    trunk, full = whole(detector)
    x, found = images, []
    first, *rest = full.tail
    blocks = [*trunk, nn.Sequential(full.c4, first), *rest]
    for number, block in enumerate(blocks[: max(after) + 1]):
        x = block(x)
        if number in after:
            found.append(FeatureMap(x, energy(x)))
    return found


def energy(map: Tensor) -> Tensor:
    """Activation-based attention (Zagoruyko and Komodakis 2017): squares summed over channels, as shares.

    Args:
        map: [N, C, h, w].

    Returns:
        [N, h, w], which sums to 1 per image; even where a map is all zeros.
    """
    largest = map.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-30)  # or squares of small maps would be none
    squares = (map / largest).square().sum(1) + 1e-12
    return squares / squares.sum((1, 2), keepdim=True)


INSPECTOR = Inspector(
    "block", lambda detector: range(EARLY.start, LATE.stop), usual=(6, 8, 10, 12, 14, 16), feature_maps=after_blocks
)
