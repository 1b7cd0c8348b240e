"""One pass of a trunk over images: the attention after every position, and tokens of objects and of the background, as
many of either kind from each image, so that knowing the image does not help to tell them apart."""

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


@dataclass(frozen=True, eq=False)
class Seen:
    """After one position. attention: float32 [N, h, w]. channels: of the map. Of T tokens: tokens float32 [T, C], kind
    int64 [T], OBJECT or BACKGROUND, image int64 [T], place float32 [T, 2], the cell's centre in the unit square."""

    attention: Tensor
    channels: int
    tokens: np.ndarray
    kind: np.ndarray
    image: np.ndarray
    place: np.ndarray


def kinds(targets: Targets, side: int) -> Tensor:
    """What each cell of a square grid shows, int64 [N, side * side]: OBJECT where its centre is inside a box,
    BACKGROUND where it is in none, NEITHER where it is in a crowd region only."""
    centre = centres(side)
    boxes = targets.boxes[:, :, None]
    inside = ((centre > boxes[..., :2]) & (centre < boxes[..., 2:])).all(-1) & (targets.labels > 0)[..., None]
    found = torch.full((len(boxes), len(centre)), BACKGROUND)
    found[inside.any(1)] = NEITHER
    found[(inside & ~targets.crowd[..., None]).any(1)] = OBJECT
    return found


def watch(detector: Detector, after: Sequence[int], split: Split, images: int, seed: int) -> list[Seen]:
    """What is seen after each position in the first `images` images of a split. On grids of one size the same cells
    are drawn, after every position and of every trunk."""
    attention: list[list[Tensor]] = [[] for _ in after]
    parts: list[list[tuple[np.ndarray, ...]]] = [[] for _ in after]
    channels = [0] * len(after)
    for numbers, maps in over(detector, after, split, images, "looking"):
        targets = split.targets(numbers)
        for position, one in enumerate(maps):
            attention[position].append(one.attention)
            channels[position] = one.map.shape[1]
            parts[position] += sampled(one.map, targets, numbers, seed)
    return [
        Seen(torch.cat(maps), count, *map(np.concatenate, zip(*drawn, strict=True)))
        for maps, count, drawn in zip(attention, channels, parts, strict=True)
    ]


@torch.inference_mode()
def over(
    detector: Detector, after: Sequence[int], split: Split, images: int, label: str
) -> Iterator[tuple[list[int], list[FeatureMap]]]:
    """(places in the split, feature maps) of a few images at a time."""
    feature_maps = inspector(detector).feature_maps
    with bar(label, images) as advance:
        for start in range(0, images, TOGETHER):
            numbers = list(range(start, min(start + TOGETHER, images)))
            inputs = torch.cat([detector.to_input(split.image(i)) for i in numbers])
            yield numbers, feature_maps(detector, after, inputs)
            advance(len(numbers))


def sampled(seen: Tensor, targets: Targets, numbers: Sequence[int], seed: int) -> list[tuple[np.ndarray, ...]]:
    """Of maps [N, C, h, w], per image (tokens, kind, image, place), as many objects as background, PER_IMAGE of either
    at most."""
    side, found = seen.shape[-1], []
    place = centres(side).numpy()
    for number, tokens, kind in zip(numbers, seen.flatten(2).transpose(1, 2), kinds(targets, side), strict=True):
        groups = [np.flatnonzero(kind.numpy() == one) for one in (OBJECT, BACKGROUND)]
        rng = np.random.default_rng([seed, number])
        count = min(PER_IMAGE, *map(len, groups))
        at = np.concatenate([rng.permutation(group)[:count] for group in groups])
        which = np.repeat([OBJECT, BACKGROUND], count)
        found.append((tokens.numpy()[at], which, np.full(2 * count, number), place[at]))
    return found
