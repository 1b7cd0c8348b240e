"""What was read, in a few lines: images, boxes and classes of each split, and all that was left out or changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.split import Dataset, Split

NAMED = 5  # classes that a line names
SIZES = ("small", "medium", "large")  # as COCO divides boxes
BORDERS = (32**2, 96**2)  # between them, square px


@dataclass(frozen=True)
class Counts:
    """What a split holds.

    Attributes:
        images: how many.
        empty: images without any box.
        boxes: by class, crowds left out.
        crowds: ignore regions.
        sizes: boxes by COCO's sizes, crowds left out; the area is that which a size's AP goes by.
        pixels: width and height in px of the smallest, the median and the largest image by area.
    """

    images: int
    empty: int
    boxes: dict[str, int]
    crowds: int
    sizes: dict[str, int]
    pixels: tuple[tuple[int, int], ...]


def counts(split: Split) -> Counts:
    """Count what a split holds."""
    labels = np.concatenate([example.labels[~example.crowd] for example in split.examples])
    each = np.bincount(labels, minlength=1 + len(split.classes))[1:]
    sizes = np.bincount(np.searchsorted(BORDERS, areas(split), side="right"), minlength=len(SIZES))
    pixels = sorted(((e.width, e.height) for e in split.examples), key=lambda size: (size[0] * size[1], size))
    return Counts(
        len(split),
        sum(not len(example.labels) for example in split.examples),
        dict(zip(split.classes, each.tolist(), strict=True)),
        sum(int(example.crowd.sum()) for example in split.examples),
        dict(zip(SIZES, sizes.tolist(), strict=True)),
        (pixels[0], pixels[(len(pixels) - 1) // 2], pixels[-1]),
    )


def areas(split: Split) -> NDArray[np.float32]:
    """The areas of all boxes of a split in square px, crowds left out."""
    return np.concatenate([example.areas[~example.crowd] for example in split.examples])


def summary(data: Dataset) -> list[str]:
    """Describe a dataset in lines: a line for its layout, one for each split, one for each change.

    Args:
        data: the dataset.
    """
    lines = [f"{split.role}: {described(counts(split))}" for split in data.splits]
    if data.reading is None:
        return lines
    if dealt := data.reading.split:
        what = "/".join(f"{100 * share:g}" for share in dealt["shares"])
        lines.insert(0, f"split {what} by {dealt['by']}, seed {dealt['seed']}")
    notes = [f"{what}: {count:,}" for what, count in data.reading.notes.items()]
    return [f"read as {data.reading.layout}", *lines, *notes]


def described(found: Counts) -> str:
    """A split's counts in words."""
    there = [name for name, count in found.boxes.items() if count]
    lacking = [name for name, count in found.boxes.items() if not count]
    boxes = f"{several(sum(found.boxes.values()), 'box', 'boxes')} of {several(len(there), 'class', 'classes')}"
    parts = [several(found.images, "image", "images"), boxes]
    parts += [f"{several(found.empty, 'image', 'images')} without a box"] if found.empty else []
    parts += [several(found.crowds, "ignore region", "ignore regions")] if found.crowds else []
    if lacking:
        parts.append(
            f"none of {', '.join(lacking[:NAMED])}" + (f", ... ({len(lacking)} in all)" * (len(lacking) > NAMED))
        )
    return ", ".join(parts)


def several(count: int, one: str, more: str) -> str:
    """A count with its noun."""
    return f"{count:,} {one if count == 1 else more}"
