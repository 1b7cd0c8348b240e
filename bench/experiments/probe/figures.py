"""A probe as pictures: attention over a few images, tokens in the plane, and what the linear probe reaches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.data.split import Split
from bench.experiments.probe.observed import BACKGROUND, OBJECT, Seen
from bench.experiments.probe.result import Position, Probe
from bench.experiments.probe.rule import ENOUGH, USELESS
from bench.experiments.probe.tokens import cloud
from bench.report.style import COLOURS, DASHES, GREY, INK, PALE, plain, save

SHOWN = 4  # images
BRIGHT = 4.0  # times even attention
KINDS = {BACKGROUND: ("background", "#BDBDBD"), OBJECT: ("object", COLOURS[2])}


def write_figures(found: Probe, seen: Sequence[Seen], val: Split, folder: Path) -> None:
    """FOLDER/attention.png, tokens.png and linear.png, each whole or not at all."""
    names = [f"{found.unit} {one.after}" for one in found.positions]
    drawn = {
        "attention": attention_figure(names, seen, val),
        "tokens": tokens_figure(names, seen, found),
        "linear": linear_figure(found),
    }
    for name, figure in drawn.items():
        save(figure, folder / f"{name}.png")


def attention_figure(names: Sequence[str], seen: Sequence[Seen], val: Split) -> Figure:
    """A row an image with objects: the image with its boxes, and under the attention after every position, whose
    colours go from none to BRIGHT times as much as even attention."""
    chosen = [i for i in range(len(seen[0].attention)) if len(val.examples[i].labels)][:SHOWN]
    heights = [val.examples[i].height / val.examples[i].width for i in chosen]
    figure, grid = made(1 + len(names), heights, 2.6)
    for row, index in zip(grid, chosen, strict=True):
        image, example = val.image(index), val.examples[index]
        pale = image.mean(-1, keepdims=True).repeat(3, -1) / 255
        for axes, one in zip(row, (None, *seen), strict=True):
            axes.set_axis_off()
            axes.imshow(image if one is None else pale)
            if one is not None:
                extent = (0, example.width, example.height, 0)
                times = one.attention[index].numpy() * one.attention[index].numel()
                axes.imshow(times, extent=extent, cmap="inferno", alpha=0.65, vmin=0, vmax=BRIGHT)
            for x1, y1, x2, y2 in example.boxes:
                box = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color="#56B4E9", linewidth=1.2)
                axes.add_patch(box)
            axes.set(xlim=(0, example.width), ylim=(example.height, 0))
    for axes, name in zip(grid[0], ("image", *names), strict=True):
        axes.set_title(name, color=INK, fontsize=12)
    return figure


def tokens_figure(names: Sequence[str], seen: Sequence[Seen], found: Probe) -> Figure:
    """PCA above, t-SNE below, a column a position; axes of either mean nothing beyond who is near whom."""
    figure, grid = made(len(names), [1, 1], 3.0)
    for column, (name, one, position) in enumerate(zip(names, seen, found.positions, strict=True)):
        apart, plane = position.separation, cloud(one, found.seed)
        said = name if apart is None else f"{name}: AUC {apart.auc:.2f}, place {apart.place:.2f}"
        grid[0, column].set_title(said, color=INK, fontsize=11)
        for axes, way in zip(grid[:, column], ("pca", "tsne"), strict=True):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color(PALE)
            if plane is not None:
                points = getattr(plane, way)
                for kind, (label, colour) in KINDS.items():
                    axes.scatter(*points[plane.kind == kind].T, s=6, color=colour, label=label, linewidths=0)
    for axes, label in zip(grid[:, 0], ("PCA", "t-SNE"), strict=True):
        axes.set_ylabel(label, color=GREY, fontsize=12)
    shown = grid[0, 0].get_legend_handles_labels()
    figure.legend(*shown, loc="outside lower right", ncols=2, frameon=False, fontsize=11, markerscale=2)
    return figure


def linear_figure(found: Probe) -> Figure:
    """mAP and AP50 of the linear probe after every position, those of the untrained trunk, and the rule's thresholds,
    each where it holds."""
    figure = Figure(figsize=(9, 5.5), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.09, 0.2, 0.88, 0.67))
    plain(axes)
    at = np.arange(len(found.positions))
    for number, threshold in enumerate(ENOUGH[: len(at)]):
        axes.plot([number - 0.35, number + 0.35], [threshold] * 2, color=INK, linewidth=2, linestyle=DASHES)
        where = {"xytext": (0, 5), "textcoords": "offset points", "ha": "center", "color": INK}
        axes.annotate(f"feasible > {threshold:.2f}", (number, threshold), **where)
    axes.axhspan(0, USELESS, color="#F2D5C8", zorder=0, label=f"useless: AP50 < {USELESS:.2f}")
    curves(axes, at, found.positions, "", "-")
    if found.control:
        curves(axes, at, found.control, ", untrained trunk", ":")
    axes.set_xticks(at, [f"{found.unit} {one.after}" for one in found.positions])
    axes.set_ylim(0, max(0.5, 1.1 * max(one.linear.map50_interval[1] for one in found.positions)))
    axes.set_ylabel(f"on {found.val_images} val images, with 95 % intervals", fontsize=12, color=GREY)
    axes.legend(frameon=False, fontsize=11, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3)
    figure.text(0.09, 0.93, f"{found.model}: what a linear layer detects", fontsize=15, color=INK)
    return figure


def curves(axes: Axes, at: np.ndarray, positions: Sequence[Position], whose: str, style: str) -> None:
    for metric, label, colour in (("map50", "AP50", COLOURS[1]), ("map", "mAP", COLOURS[2])):
        value = np.array([getattr(one.linear, metric) for one in positions])
        low, high = np.array([getattr(one.linear, f"{metric}_interval") for one in positions]).T
        axes.plot(at, value, style, marker="o", color=colour, linewidth=1.8, label=label + whose)
        axes.vlines(at, low, high, color=colour, alpha=0.4, linewidth=1.5)


def made(columns: int, heights: Sequence[float], side: float) -> tuple[Figure, np.ndarray]:
    """A figure of panels `side` inches wide, and its axes [rows, columns]. heights: of the rows, in such widths."""
    size = (side * columns, side * sum(heights) + 0.5)
    figure = Figure(figsize=size, dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
