"""A contact sheet: some images of every split with their boxes, to see whether they were read as they were meant."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from bench.data.split import ROLES, Dataset, Example, Split
from bench.report.labels import CUT, DPI, drawable, fitted, width
from bench.report.sample import sample
from bench.report.style import COLOURS, GREY, INK, PALE

MOST_NAMED = 12  # classes that a legend has room for
BRIGHT = (*COLOURS[1:8], "#882255", "#F0E442", "#8FD14F", "#E3170A", "#00E5C8")  # of that many classes
COLUMNS = 4
WIDTH, EDGE, GAP, CAPTION = 1600, 24, 20, 54  # px; CAPTION: height of what stands under an image
TITLE, LEGEND = 60, 28  # px, height of the title and of a line of the legend
NAME, SMALL = 15, 50  # px, height of a name at a box, and side of the boxes that it may not cover
THIN = 20  # px, side of the boxes that have thin lines
NAMED = 3  # boxes of a class in an image, the largest; colours tell the others
ENLARGED = 8  # times, at most
SMALLER = Image.Resampling.LANCZOS
Box = tuple[int, int, int, int]  # left, top, right, bottom, px


@dataclass(frozen=True)
class _Thumbnail:
    """An image and where it is on the sheet."""

    split: Split
    index: int
    left: int
    top: int
    width: int
    height: int
    room: int

    @property
    def example(self) -> Example:
        return self.split.examples[self.index]

    @property
    def area(self) -> Box:
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


class _Pixels(Artist):
    """The pixels behind all text, drawn as they are: matplotlib's images are resampled, which takes seconds.

    Args:
        pixels: uint8 [height, width, 3] of the whole figure.
    """

    def __init__(self, pixels: NDArray[np.uint8]):
        super().__init__()
        self.pixels = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])

    def draw(self, renderer: RendererBase) -> None:
        """Put them onto the canvas."""
        renderer.draw_image(renderer.new_gc(), 0, 0, self.pixels[::-1])


def contact_sheet(data: Dataset, images: int = 24, seed: int = 0) -> Figure:
    """Draw images with their boxes.

    Args:
        data: what was read.
        images: how many; fewer where there are not so many.
        seed: of the choice (`bench.report.sample`).

    Returns:
        A figure 1600 px wide.

    Raises:
        UserError: less than one image is asked for, or one of them cannot be read.
    """
    splits = dict(zip(ROLES, data.splits, strict=True))
    picks = [(splits[role], i) for role, i in sample(data, images, seed)]
    colours = class_colours(len(data.classes))
    legend = _flow(data.classes, colours) if len(data.classes) <= MOST_NAMED else []
    start = TITLE + LEGEND * (1 + max((row for _, row, _, _ in legend), default=-1)) + GAP
    thumbnails, height = _laid_out(picks, start)
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    canvas = np.full((height, WIDTH, 3), 255, np.uint8)
    common = _common([split.images.name(i) for split, i in picks])
    for one in thumbnails:
        _frame(canvas, (one.left - 1, one.top - 1, one.area[2] + 1, one.area[3] + 1), PALE, 1)
        canvas[one.top : one.area[3], one.left : one.area[2]] = one.pixels()
        _boxes(canvas, one, colours)
        if len(data.classes) > 1:
            _names(figure, canvas, one, colours)
        _caption(figure, one, common)
    ignored = any(one.example.crowd.any() for one in thumbnails)
    shown = (
        f": {len(picks):,} of {sum(map(len, data.splits)):,} images, seed {seed}{'; dashed: ignore regions' * ignored}"
    )
    title = fitted(data.name, WIDTH - 2 * EDGE - width(shown, 17, "bold"), 17, "bold") + shown
    _text(figure, EDGE, TITLE / 2, title, fontsize=17, weight="bold")
    for name, row, x, colour in legend:
        y = TITLE + LEGEND * row
        _fill(canvas, (x, y, x + 16, y + 16), colour)
        _text(figure, x + 24, y + 8, name, fontsize=12)
    figure.add_artist(_Pixels(canvas))
    return figure


def class_colours(classes: int) -> list[str]:
    """A colour for each class, in hex: first those that are told apart best, then hues far from the last ones.

    Args:
        classes: how many.
    """
    looks = ((0.9, 0.95), (0.5, 1.0), (0.95, 0.65))
    more = (to_hex(hsv_to_rgb(0.07 + k * 0.618034 % 1, *looks[k % len(looks)])) for k in range(classes))
    return [*BRIGHT, *more][:classes]


def _flow(classes: Sequence[str], colours: Sequence[str]) -> list[tuple[str, int, int, str]]:
    """Names in a legend with their row, x in px, and colour."""
    found = []
    row, x = 0, EDGE
    for name, colour in zip(classes, colours, strict=True):
        text = fitted(name, 400, 12)
        needed = math.ceil(24 + width(text, 12))
        if x > EDGE and x + needed > WIDTH - EDGE:
            row, x = row + 1, EDGE
        found.append((text, row, x, colour))
        x += needed + 30
    return found


def _laid_out(picks: Sequence[tuple[Split, int]], top: int) -> tuple[list[_Thumbnail], int]:
    """Rows of images, and the height of them all.

    Split by split they become higher or lower in turn, so that those of a row are about as high.
    """
    columns = min(COLUMNS, len(picks))
    room = (WIDTH - 2 * EDGE - GAP * (columns - 1)) // columns
    most = min(room, WIDTH // 3)

    def size(pick: tuple[Split, int]) -> tuple[int, int]:
        example = pick[0].examples[pick[1]]
        scale = min(room / example.width, most / example.height, ENLARGED)
        return max(1, round(example.width * scale)), max(1, round(example.height * scale))

    def order(pick: tuple[Split, int]) -> tuple[int, int, int]:
        number = ROLES.index(pick[0].role)
        return number, size(pick)[1] * (-1) ** number, pick[1]

    ordered = sorted(picks, key=order)
    found = []
    for start in range(0, len(ordered), columns):
        row = ordered[start : start + columns]
        for column, pick in enumerate(row):
            found.append(_Thumbnail(*pick, EDGE + column * (room + GAP), top, *size(pick), room))
        top += max(size(pick)[1] for pick in row) + CAPTION + GAP
    return found, top


def _boxes(canvas: NDArray[np.uint8], one: _Thumbnail, colours: Sequence[str]) -> None:
    """Lines around boxes, the large ones first; around small ones they are thinner."""
    boxes = one.boxes()
    for k in _by_size(boxes):
        left, top, right, bottom = boxes[k].tolist()
        small = min(right - left, bottom - top) < THIN
        thick = 1 if small else 2
        colour, dashed = colours[one.example.labels[k] - 1], bool(one.example.crowd[k])
        if not small:
            _frame(canvas, _inside((left - 3, top - 3, right + 3, bottom + 3), one.area), "#FFFFFF", 1)
        around = _inside((left - thick, top - thick, right + thick, bottom + thick), one.area)
        _frame(canvas, around, colour, thick, dashed)


def _by_size(boxes: NDArray[np.int64]) -> list[int]:
    return np.argsort(-np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), kind="stable").tolist()


def _inside(box: Box, area: Box) -> Box:
    return max(box[0], area[0]), max(box[1], area[1]), min(box[2], area[2]), min(box[3], area[3])


def _frame(canvas: NDArray[np.uint8], box: Box, colour: str, thick: int, dashed: bool = False) -> None:
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


def _fill(canvas: NDArray[np.uint8], box: Box, colour: str) -> None:
    canvas[box[1] : box[3], box[0] : box[2]] = _ink(colour)


def _ink(colour: str) -> NDArray[np.uint8]:
    return np.rint(255 * np.array(to_rgb(colour))).astype(np.uint8)


def _names(figure: Figure, canvas: NDArray[np.uint8], one: _Thumbnail, colours: Sequence[str]) -> None:
    """Names at boxes, the large ones first, where they cover neither another name nor a small box."""
    boxes = one.boxes()
    small = [k for k, side in enumerate((boxes[:, 2:] - boxes[:, :2]).max(axis=1)) if side < SMALL]
    taken: list[Box] = []
    named = Counter[int]()
    for k in _by_size(boxes):
        label = int(one.example.labels[k])
        if named[label] == NAMED:
            continue
        text = fitted(one.split.classes[label - 1], 120, 8)
        wide = math.ceil(width(text, 8)) + 6
        others = [tuple(boxes[other].tolist()) for other in small if other != k]
        for place in _places(boxes[k].tolist(), wide):
            if _inside(place, one.area) == place and not any(_meet(place, other) for other in (*taken, *others)):
                taken.append(place)
                named[label] += 1
                colour = colours[label - 1]
                _fill(canvas, place, colour)
                middle = (place[1] + place[3]) / 2
                _text(figure, place[0] + 3, middle, text, fontsize=8, color=INK if _bright(colour) else "white")
                break


def _places(box: Sequence[int], wide: int) -> list[Box]:
    """Where a name may stand: above its box, in it where there is room, and below."""
    left, top, right, bottom = box
    corners = [(left - 2, top - NAME - 2), (right + 2 - wide, top - NAME - 2)]
    if right - left >= wide + 8 and bottom - top >= 3 * NAME:
        corners += [(left, top), (right - wide, top), (left, bottom - NAME), (right - wide, bottom - NAME)]
    corners += [(left - 2, bottom + 2), (right + 2 - wide, bottom + 2)]
    return [(x, y, x + wide, y + NAME) for x, y in corners]


def _meet(one: Box, other: Sequence[int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _bright(colour: str) -> bool:
    """Whether dark text reads better on it than white."""
    return float(np.dot(to_rgb(colour), (0.3, 0.59, 0.11))) > 0.55


def _caption(figure: Figure, one: _Thumbnail, common: int) -> None:
    """Under an image: its split and name, its size, and how many boxes of which class."""
    role, example = one.split.role, one.example
    x, y = one.left + width(role, 11, "bold") + 8, one.area[3] + 18
    _text(figure, one.left, y, role, fontsize=11, weight="bold")
    name = "/".join(PurePath(one.split.images.name(one.index)).parts[common:])
    _text(figure, x, y, fitted(name, one.left + one.room - x, 11), fontsize=11)
    each = Counter(example.labels[~example.crowd].tolist())
    parts = [f"{count:,} {drawable(one.split.classes[label - 1])}" for label, count in each.most_common()]
    parts += [f"{example.crowd.sum():,} ignored"] if example.crowd.any() else []
    said = f"{example.width} x {example.height} px: " + _listed(parts or ["no box"], one.room - 110)
    _text(figure, one.left, y + 20, said, fontsize=10, color=GREY)


def _listed(parts: Sequence[str], room: float) -> str:
    """As many parts as there is room for."""
    for count in range(len(parts), 0, -1):
        text = ", ".join([*parts[:count], *([CUT] if count < len(parts) else [])])
        if width(text, 10) <= room:
            return text
    return fitted(parts[0], room, 10)


def _common(names: Sequence[str]) -> int:
    """How many folders all names have in common."""
    folders = [PurePath(name).parts[:-1] for name in names]
    return next(
        (k for k, parts in enumerate(zip(*folders, strict=False)) if len(set(parts)) > 1), min(map(len, folders))
    )


def _text(figure: Figure, x: float, y: float, text: str, **look) -> None:
    """Text at a place in px from the upper left corner."""
    wide, high = figure.get_size_inches() * figure.dpi
    look = {"color": INK, "va": "center_baseline", "parse_math": False, **look}
    figure.text(x / wide, 1 - y / high, text, **look)
