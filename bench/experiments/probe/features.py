"""What one pass of a trunk over images gives: attention after every position, and tokens.

Each image gives as many tokens of objects as of the background, so that knowing the image does not help to tell them
apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.data.split import Split
from bench.progress import bar
from models.detector import Detector, Targets
from models.families import inspector
from models.inspector import FeatureMap
from models.patches import centres

OBJECT, BACKGROUND, NEITHER = 1, 0, -1
PER_IMAGE = 8  # tokens of either kind, at most
TOGETHER = 8  # images through the trunk at once

Tokens = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # tokens, kinds, images, places of one image


@dataclass(frozen=True, eq=False)
class PositionFeatures:
    """What N images look like after one position.

    Attributes:
        attention: float32 [N, h, w], summing to 1 per image.
        channels: of the map, C.
        tokens: the sampled cells, float32 [T, C].
        kind: OBJECT or BACKGROUND, int64 [T].
        image: which image each token is of, int64 [T].
        place: the cell's centre in the unit square, float32 [T, 2].
    """

    attention: Tensor
    channels: int
    tokens: np.ndarray
    kind: np.ndarray
    image: np.ndarray
    place: np.ndarray


def kinds(targets: Targets, side: int) -> Tensor:
    """What each cell of a square grid shows.

    Args:
        targets: the objects of N images.
        side: of the grid, in cells.

    Returns:
        int64 [N, side * side]: OBJECT where the cell's centre is inside a box, BACKGROUND where it is in none, NEITHER
        where it is in a crowd region only.
    """
    centre = centres(side)
    boxes = targets.boxes[:, :, None]
    inside = ((centre > boxes[..., :2]) & (centre < boxes[..., 2:])).all(-1) & (targets.labels > 0)[..., None]
    found = torch.full((len(boxes), len(centre)), BACKGROUND)
    found[inside.any(1)] = NEITHER
    found[(inside & ~targets.crowd[..., None]).any(1)] = OBJECT
    return found


def collect(detector: Detector, after: Sequence[int], split: Split, images: int, seed: int) -> list[PositionFeatures]:
    """Attention and tokens after each position, in the first images of a split.

    On grids of one size the same cells are sampled, after every position and of every trunk.

    Args:
        detector: whose trunk is looked into.
        after: the positions.
        split: where images and objects are from.
        images: how many of its first images.
        seed: of the sampling.

    Returns:
        One entry per position.
    """
    attention: list[list[Tensor]] = [[] for _ in after]
    parts: list[list[Tokens]] = [[] for _ in after]
    channels = [0] * len(after)
    for numbers, maps in feature_batches(detector, after, split, images, "looking"):
        targets = split.targets(numbers)
        for position, one in enumerate(maps):
            attention[position].append(one.attention)
            channels[position] = one.map.shape[1]
            parts[position] += sampled(one.map, targets, numbers, seed)
    return [
        PositionFeatures(torch.cat(maps), count, *map(np.concatenate, zip(*drawn, strict=True)))
        for maps, count, drawn in zip(attention, channels, parts, strict=True)
    ]


@torch.inference_mode()
def feature_batches(
    detector: Detector, after: Sequence[int], split: Split, images: int, label: str
) -> Iterator[tuple[list[int], list[FeatureMap]]]:
    """Run the first images of a split through a trunk, a few at a time, under a progress bar.

    Args:
        detector: whose trunk is run.
        after: the positions.
        split: where the images are from.
        images: how many of its first images.
        label: of the progress bar.

    Yields:
        The images' indices in the split, and a feature map per position.
    """
    feature_maps = inspector(detector).feature_maps
    with bar(label, images) as advance:
        for start in range(0, images, TOGETHER):
            numbers = list(range(start, min(start + TOGETHER, images)))
            inputs = torch.cat([detector.to_input(split.image(i)) for i in numbers])
            yield numbers, feature_maps(detector, after, inputs)
            advance(len(numbers))


def sampled(seen: Tensor, targets: Targets, numbers: Sequence[int], seed: int) -> list[Tokens]:
    """Sample as many tokens of objects as of the background from each image, PER_IMAGE of either at most.

    Args:
        seen: feature maps, [N, C, side, side].
        targets: the objects of the same images.
        numbers: the images' indices in the split.
        seed: of the sampling, with the index.

    Returns:
        Per image its tokens, their kinds, the image's index for each, and their places, as in `PositionFeatures`.
    """
    side = seen.shape[-1]
    found: list[Tokens] = []
    place = centres(side).numpy()
    for number, tokens, kind in zip(numbers, seen.flatten(2).transpose(1, 2), kinds(targets, side), strict=True):
        groups = [np.flatnonzero(kind.numpy() == one) for one in (OBJECT, BACKGROUND)]
        rng = np.random.default_rng([seed, number])
        count = min(PER_IMAGE, *map(len, groups))
        at = np.concatenate([rng.permutation(group)[:count] for group in groups])
        which = np.repeat([OBJECT, BACKGROUND], count)
        found.append((tokens.numpy()[at], which, np.full(2 * count, number), place[at]))
    return found
