"""Attention over a few images, position by position, as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.data.split import Split
from bench.experiments.probe.features import PositionFeatures
from bench.experiments.probe.grid import made
from bench.report.style import INK

SHOWN = 4  # images
BRIGHT = 4.0  # times even attention


def attention_figure(names: Sequence[str], seen: Sequence[PositionFeatures], val: Split) -> Figure:
    """Draw a row per image: the image with its boxes, then the attention after every position over it.

    Colours go from none to BRIGHT times as much as even attention.

    Args:
        names: of the positions.
        seen: the features after each position.
        val: the split whose first images they are of; only images with objects are drawn.

    Returns:
        The figure, not yet saved.
    """
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
