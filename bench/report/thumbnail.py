"""One image of a contact sheet: its pixels, lines around its boxes, and names at them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from bench.data.split import Example, Split
from bench.report.labels import fitted, width
from bench.report.style import INK, bright

NAME, SMALL = 15, 50  # px, height of a name at a box, and side of the boxes that it may not cover
THIN = 20  # px, side of the boxes that have thin lines
NAMED = 3  # boxes of a class in an image, the largest; colours tell the others
SMALLER = Image.Resampling.LANCZOS
Box = tuple[int, int, int, int]  # left, top, right, bottom, px
Canvas = NDArray[np.uint8]  # [H, W, 3]


@dataclass(frozen=True)
class Thumbnail:
    """An image and where it is on the sheet.

    Attributes:
        split: that it is of.
        index: of the image.
        left: px from the sheet's left edge.
        top: px from the sheet's upper edge.
        width: as it is shown, px.
        height: as it is shown, px.
        room: width that it might have, and its caption has, px.
    """

    split: Split
    index: int
    left: int
    top: int
    width: int
    height: int
    room: int

    @property
    def example(self) -> Example:
        """What is in the image."""
        return self.split.examples[self.index]

    @property
    def area(self) -> Box:
        """Where the image is."""
        return self.left, self.top, self.left + self.width, self.top + self.height

    def pixels(self) -> NDArray[np.uint8]:
        """uint8 [height, width, 3]; magnified images keep their pixels."""
        image = Image.fromarray(self.split.image(self.index))
        how = SMALLER if self.width < image.width or self.height < image.height else Image.Resampling.NEAREST
        return np.asarray(image.resize((self.width, self.height), how, reducing_gap=3))

    def boxes(self) -> NDArray[np.int64]:
        """Boxes on the sheet in px, int64 [n, 4], at least a pixel wide and high."""
        scale = np.array([self.width / self.example.width, self.height / self.example.height] * 2)
        found = np.rint(self.example.boxes * scale).astype(np.int64) + [self.left, self.top] * 2
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        return found


def draw_boxes(canvas: Canvas, one: Thumbnail, colours: Sequence[str]) -> None:
    """Lines around boxes, the large ones first; around small ones they are thinner."""
    boxes = one.boxes()
    for k in _by_size(boxes):
        left, top, right, bottom = boxes[k].tolist()
        small = min(right - left, bottom - top) < THIN
        thick = 1 if small else 2
        colour, dashed = colours[one.example.labels[k] - 1], bool(one.example.crowd[k])
        if not small:
            frame(canvas, _inside((left - 3, top - 3, right + 3, bottom + 3), one.area), "#FFFFFF", 1)
        around = _inside((left - thick, top - thick, right + thick, bottom + thick), one.area)
        frame(canvas, around, colour, thick, dashed)


def _by_size(boxes: NDArray[np.int64]) -> list[int]:
    return np.argsort(-np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), kind="stable").tolist()


def _inside(box: Box, area: Box) -> Box:
    return max(box[0], area[0]), max(box[1], area[1]), min(box[2], area[2]), min(box[3], area[3])


def frame(canvas: Canvas, box: Box, colour: str, thick: int, dashed: bool = False) -> None:
    """Lines along the inner side of a box's border."""
    left, top, right, bottom = box
    ink = _ink(colour)
    across, down = np.arange(left, right), np.arange(top, bottom)
    if dashed:
        across, down = across[(across - left) % 9 < 5], down[(down - top) % 9 < 5]
    canvas[top : min(top + thick, bottom), across] = ink
    canvas[max(bottom - thick, top) : bottom, across] = ink
    canvas[down, left : min(left + thick, right)] = ink
    canvas[down, max(right - thick, left) : right] = ink


def fill(canvas: Canvas, box: Box, colour: str) -> None:
    """A box full of a colour."""
    canvas[box[1] : box[3], box[0] : box[2]] = _ink(colour)


def _ink(colour: str) -> NDArray[np.uint8]:
    return np.rint(255 * np.array(to_rgb(colour))).astype(np.uint8)


def draw_names(figure: Figure, canvas: Canvas, one: Thumbnail, colours: Sequence[str]) -> None:
    """Names at boxes, the large ones first, where they cover neither another name nor a small box."""
    boxes = one.boxes()
    small = (boxes[:, 2:] - boxes[:, :2]).max(axis=1) < SMALL
    taken = np.empty((0, 4), np.int64)
    named = Counter[int]()
    for k in _by_size(boxes):
        label = int(one.example.labels[k])
        if named[label] == NAMED:
            continue
        text = fitted(one.split.classes[label - 1], 120, 8)
        wide = math.ceil(width(text, 8)) + 6
        others = np.concatenate([taken, boxes[small & (np.arange(len(boxes)) != k)]])
        for place in _places(boxes[k].tolist(), wide):
            if _inside(place, one.area) == place and not _meets(place, others):
                taken = np.concatenate([taken, [place]])
                named[label] += 1
                colour = colours[label - 1]
                fill(canvas, place, colour)
                middle = (place[1] + place[3]) / 2
                write(figure, place[0] + 3, middle, text, fontsize=8, color=INK if bright(colour) else "white")
                break


def _places(box: Sequence[int], wide: int) -> list[Box]:
    """Where a name may stand: above its box, in it where there is room, and below."""
    left, top, right, bottom = box
    corners = [(left - 2, top - NAME - 2), (right + 2 - wide, top - NAME - 2)]
    if right - left >= wide + 8 and bottom - top >= 3 * NAME:
        corners += [(left, top), (right - wide, top), (left, bottom - NAME), (right - wide, bottom - NAME)]
    corners += [(left - 2, bottom + 2), (right + 2 - wide, bottom + 2)]
    return [(x, y, x + wide, y + NAME) for x, y in corners]


def _meets(one: Box, others: NDArray[np.int64]) -> bool:
    """Whether a box has a pixel in common with any of others [n, 4]."""
    return bool(((others[:, :2] < one[2:]) & (others[:, 2:] > one[:2])).all(axis=1).any())


def write(figure: Figure, x: float, y: float, text: str, **look) -> None:
    """Text at a place in px from the upper left corner."""
    wide, high = figure.get_size_inches() * figure.dpi
    look = {"color": INK, "va": "center_baseline", "parse_math": False, **look}
    figure.text(x / wide, 1 - y / high, text, **look)
