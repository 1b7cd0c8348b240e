"""The picture of what was read: how many boxes of each class, how large they are, and how many an image holds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from bench.data.split import ROLES, Dataset, Role, Split
from bench.data.summary import BORDERS, SIZES, areas, counts
from bench.report.labels import DPI, fitted, width
from bench.report.style import COLOURS, DASHES, GREY, INK, plain

MOST_CLASSES = 20  # in the picture, the most frequent
COLOUR = dict(zip(ROLES, COLOURS[1:4], strict=True))  # of a split
DASH = dict(zip(ROLES, ("-", (0, (6, 2)), (0, (2, 1.5))), strict=True))  # where lines of splits lie on each other
WIDTH, TOP, BOTTOM, RIGHT = 1600, 120, 110, 30  # px
ROW, THICKEST, LOWEST = 27, 40, 300  # px: a class with its gap, the height of a bar, and of the panels
NAMES, BETWEEN, SIDE = 200, 85, 400  # px: room for class names, between panels, width of the two panels at the right
BARS = WIDTH - NAMES - 2 * (BETWEEN + SIDE) - RIGHT
MOST_BINS = 30


def sizes_figure(data: Dataset) -> Figure:
    """Draw boxes by class, their sizes, and how many of them images hold, split by split; ignore regions are left out.

    Args:
        data: what was read.

    Returns:
        A figure 1600 px wide.
    """
    found = [counts(split).boxes for split in data.splits]
    totals = {name: sum(one[name] for one in found) for name in data.classes}
    names = sorted(data.classes, key=lambda name: -totals[name])[:MOST_CLASSES]
    inner = max(ROW * len(names), LOWEST)
    height = TOP + inner + BOTTOM
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    left = [NAMES, NAMES + BARS + BETWEEN, WIDTH - RIGHT - SIDE]
    places = zip(left, (BARS, SIDE, SIDE), strict=True)
    every = [figure.add_axes((x / WIDTH, BOTTOM / height, wide / WIDTH, inner / height)) for x, wide in places]
    few = f", {len(names)} of {len(data.classes)} classes" if len(names) < len(data.classes) else ""
    for axes, title in zip(every, (f"Boxes by class{few}", "Size of boxes", "Boxes in an image"), strict=True):
        plain(axes)
        axes.set_title(title, color=INK, fontsize=14, loc="left", pad=30)
    _by_class(every[0], names, found)
    _by_size(every[1], data.splits)
    _by_image(every[2], data.splits)
    title = fitted(data.name, WIDTH - 60, 17, "bold")
    figure.text(30 / WIDTH, 1 - 24 / height, title, va="top", fontsize=17, weight="bold", color=INK, parse_math=False)
    handles = [Line2D([], [], color=COLOUR[role], linewidth=6, linestyle="-") for role in ROLES]
    said = [f"{split.role}, {len(split):,} image{'s'[: len(split) > 1]}" for split in data.splits]
    figure.legend(handles, said, loc="lower center", ncols=3, frameon=False, fontsize=13)
    return figure


def _by_class(axes: Axes, names: list[str], found: list[dict[str, int]]) -> None:
    """A bar per class, of three parts, and the three numbers behind it."""
    start = np.zeros(len(names))
    rows = np.arange(len(names))
    thick = min(0.7, THICKEST * len(names) / LOWEST)
    for role, one in zip(ROLES, found, strict=True):
        part = np.array([one[name] for name in names])
        axes.barh(rows, part, left=start, height=thick, color=COLOUR[role])
        start += part
    numbers = [" / ".join(f"{one[name]:,}" for one in found) for name in names]
    for row, (end, text) in enumerate(zip(start, numbers, strict=True)):
        shown = axes.annotate(text, (end, row), (5, 0), textcoords="offset points", fontsize=11)
        shown.set(va="center_baseline", color=GREY)
    room = max(width(text, 11) for text in numbers) + 10
    axes.set(xlim=(0, max(start.max(), 1) * BARS / (BARS - room)), ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(rows, [fitted(name, NAMES - 40, 12) for name in names])
    for label in axes.get_yticklabels():
        label.set(parse_math=False, color=INK)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("boxes: train / val / test", color=INK, fontsize=13)


def _by_size(axes: Axes, splits: tuple[Split, ...]) -> None:
    """Histograms of the square roots of areas, on a logarithmic axis from 4 px or below."""
    sides = {split.role: np.sqrt(np.maximum(areas(split), 1)) for split in splits}
    every = np.concatenate(list(sides.values()))
    low, high = (every.min(), every.max()) if len(every) else (4, 256)
    ends = np.floor(2 * np.log2(min(low, 8))), np.floor(2 * np.log2(max(high, 200))) + 1
    edges = 2 ** (np.arange(ends[0], ends[1] + 1) / 2)
    for role, side in sides.items():
        _outline(axes, role, np.histogram(side, edges)[0], edges)
    axes.set_xscale("log", base=2)
    axes.set_xlim(edges[0], edges[-1])
    borders = [edges[0], *np.sqrt(BORDERS), edges[-1]]
    for border in borders[1:-1]:
        axes.axvline(border, color=GREY, linewidth=1, linestyle=DASHES)
    for name, (low, high) in zip(SIZES, pairwise(borders), strict=True):
        place = (np.sqrt(low * high), 1.0)
        shown = axes.annotate(name, place, (0, 6), axes.get_xaxis_transform(), textcoords="offset points")
        shown.set(ha="center", fontsize=12, color=GREY)
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=11))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("square root of the area, px", color=INK, fontsize=13)
    axes.set_ylabel("% of the split's boxes", color=INK, fontsize=13)


def _by_image(axes: Axes, splits: tuple[Split, ...]) -> None:
    """Histograms of how many boxes images hold."""
    held = {split.role: [int((~example.crowd).sum()) for example in split.examples] for split in splits}
    most = max(map(max, held.values()))
    step = -(-(most + 1) // MOST_BINS)
    edges = np.arange(0, most + step + 1, step) - 0.5
    for role, each in held.items():
        _outline(axes, role, np.histogram(each, edges)[0], edges)
    axes.set_xlim(edges[0], max(edges[-1], 4.5))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel("boxes" + f", in steps of {step}" * (step > 1), color=INK, fontsize=13)
    axes.set_ylabel("% of the split's images", color=INK, fontsize=13)


def _outline(axes: Axes, role: Role, each: np.ndarray, edges: np.ndarray) -> None:
    share = 100 * each / max(each.sum(), 1)
    axes.stairs(share, edges, color=COLOUR[role], linewidth=2, linestyle=DASH[role])
    axes.stairs(share, edges, color=COLOUR[role], fill=True, alpha=0.08)
    axes.set_ylim(0, max(axes.get_ylim()[1], 1.05 * share.max(), 1))
