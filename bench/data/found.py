"""What a reader makes of a layout: labelled images by split, and counts of what was left out or changed on the way.

`bench.data.dataset` makes a Dataset of it and `bench.data.write` a COCO folder, whatever layout it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.faults import Faults
from bench.data.options import Options
from bench.data.split import Role

WORDS: Mapping[str, Role] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Box:
    """An object in an image.

    Attributes:
        name: of its class.
        corners: x1, y1, x2, y2 in px, inside the image.
        ignore: whether it is a region where detections count neither way; COCO's `iscrowd`.
    """

    name: str
    corners: tuple[float, float, float, float]
    ignore: bool = False


@dataclass(frozen=True, eq=False)
class Labelled:
    """An image file and what is in it.

    Attributes:
        path: of the file.
        name: of the image, unique in the data; with slashes where it is in a folder.
        width: in px, as the labels were made for it.
        height: in px.
        corners: of the n boxes, float64 [n, 4]: x1, y1, x2, y2 in px, inside the image.
        labels: int64 [n], 1.. into the classes that were found.
        crowd: bool [n], the ignore regions.
        areas: float64 [n] in square px.
        id: of the image where the layout has ids; None: it is numbered.
        group: what the image may not be divided from, such as its video; None: it stands alone.
    """

    path: Path
    name: str
    width: int
    height: int
    corners: NDArray[np.float64]
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    areas: NDArray[np.float64]
    id: int | None = None
    group: str | None = None


@dataclass(frozen=True)
class Found:
    """What lies in a place.

    Attributes:
        name: of the dataset.
        layout: what was seen, in words.
        classes: all names, label k being classes[k - 1].
        parts: images of the splits that are there; under None all of them, where they are not divided.
        notes: a count for each thing that was left out or changed, described in words.
        faults: what is wrong with it.
        options: those of the command completed by what the place itself says, where it says something.
    """

    name: str
    layout: str
    classes: tuple[str, ...]
    parts: Mapping[Role | None, Sequence[Labelled]]
    notes: Counter[str] = field(default_factory=Counter)
    faults: Faults = field(default_factory=Faults)
    options: Options | None = None


def labelled(
    path: Path,
    name: str,
    size: tuple[int, int],
    boxes: Sequence[Box],
    classes: Mapping[str, int],
    group: str | None = None,
) -> Labelled:
    """An image with its boxes in arrays.

    Args:
        path: of the file.
        name: of the image, unique in the data.
        size: width and height in px.
        boxes: the objects.
        classes: label by name.
        group: what the image may not be divided from.
    """
    corners = np.array([box.corners for box in boxes], np.float64).reshape(-1, 4)
    return Labelled(
        path,
        name,
        *size,
        corners,
        np.array([classes[box.name] for box in boxes], np.int64),
        np.array([box.ignore for box in boxes], bool),
        np.round((corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1]), 3),
        group=group,
    )


def inside(
    corners: tuple[float, float, float, float], size: tuple[int, int], notes: Counter[str]
) -> tuple[float, float, float, float] | None:
    """A box clipped to its image and rounded to a thousandth of a pixel.

    Args:
        corners: x1, y1, x2, y2 in px.
        size: width and height of the image in px.
        notes: counts what is clipped or dropped.

    Returns:
        x1, y1, x2, y2 in px; None where no area is left.
    """
    x1, y1, x2, y2 = (round(value, 3) for value in corners)
    left, top, right, bottom = max(x1, 0.0), max(y1, 0.0), min(x2, float(size[0])), min(y2, float(size[1]))
    if right <= left or bottom <= top:
        notes["boxes left out (no area inside the image)"] += 1
        return None
    if (left, top, right, bottom) != (x1, y1, x2, y2):
        notes["boxes clipped to the image"] += 1
    return left, top, right, bottom
