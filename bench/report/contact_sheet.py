"""A contact sheet: some images of every split with their boxes, to see whether they were read as they were meant."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from colorsys import hsv_to_rgb
from pathlib import PurePath

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from bench.data.split import ROLES, Dataset, Split
from bench.report.labels import CUT, DPI, drawable, fitted, width
from bench.report.sample import sample
from bench.report.style import COLOURS, GREY, PALE
from bench.report.thumbnail import Canvas, Thumbnail, draw_boxes, draw_names, fill, frame, write

MOST_NAMED = 12  # classes that a legend has room for
BRIGHT = (*COLOURS[1:8], "#882255", "#F0E442", "#8FD14F", "#E3170A", "#00E5C8")  # of that many classes
COLUMNS = 4
WIDTH, EDGE, GAP, CAPTION = 1600, 24, 20, 54  # px; CAPTION: height of what stands under an image
TITLE, LEGEND = 60, 28  # px, height of the title and of a line of the legend
ENLARGED = 8  # times, at most


class _Pixels(Artist):
    """The pixels behind all text, drawn as they are: matplotlib's images are resampled, which takes seconds.

    Args:
        pixels: uint8 [height, width, 3] of the whole figure.
    """

    def __init__(self, pixels: Canvas):
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
    rows = 1 + legend[-1][1] if legend else 0
    thumbnails, height = _laid_out(picks, TITLE + LEGEND * rows + GAP)
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    canvas = np.full((height, WIDTH, 3), 255, np.uint8)
    common = _common([split.images.name(i) for split, i in picks])
    for one in thumbnails:
        frame(canvas, (one.left - 1, one.top - 1, one.area[2] + 1, one.area[3] + 1), PALE, 1)
        canvas[one.top : one.area[3], one.left : one.area[2]] = one.pixels()
        draw_boxes(canvas, one, colours)
        if len(data.classes) > 1:
            draw_names(figure, canvas, one, colours)
        _caption(figure, one, common)
    dashed = "; dashed: ignore regions" * any(one.example.crowd.any() for one in thumbnails)
    shown = f": {len(picks):,} of {sum(map(len, data.splits)):,} images, seed {seed}{dashed}"
    title = fitted(data.name, WIDTH - 2 * EDGE - width(shown, 17, "bold"), 17, "bold") + shown
    write(figure, EDGE, TITLE / 2, title, fontsize=17, weight="bold")
    for name, row, x, colour in legend:
        y = TITLE + LEGEND * row
        fill(canvas, (x, y, x + 16, y + 16), colour)
        write(figure, x + 24, y + 8, name, fontsize=12)
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


def _laid_out(picks: Sequence[tuple[Split, int]], top: int) -> tuple[list[Thumbnail], int]:
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
            found.append(Thumbnail(*pick, EDGE + column * (room + GAP), top, *size(pick), room))
        top += max(size(pick)[1] for pick in row) + CAPTION + GAP
    return found, top


def _caption(figure: Figure, one: Thumbnail, common: int) -> None:
    """Under an image: its split and name, its size, and how many boxes of which class."""
    role, example = one.split.role, one.example
    x, y = one.left + width(role, 11, "bold") + 8, one.area[3] + 18
    write(figure, one.left, y, role, fontsize=11, weight="bold")
    name = "/".join(PurePath(one.split.images.name(one.index)).parts[common:])
    write(figure, x, y, fitted(name, one.left + one.room - x, 11), fontsize=11)
    each = Counter(example.labels[~example.crowd].tolist())
    parts = [f"{count:,} {drawable(one.split.classes[label - 1])}" for label, count in each.most_common()]
    parts += [f"{example.crowd.sum():,} ignored"] if example.crowd.any() else []
    said = f"{example.width} x {example.height} px: " + _listed(parts or ["no box"], one.room - 110)
    write(figure, one.left, y + 20, said, fontsize=10, color=GREY)


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
