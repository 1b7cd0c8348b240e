"""What all figures share: colours and markers, axes without furniture, and how a figure becomes a file.

The colours are Okabe and Ito's, which colour-blind readers can tell apart, and three more.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from bench.files import replacing

COLOURS = (
    "#222222",
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#7A5195",
    "#8C6D31",
    "#999933",
    "#882255",
)
MARKERS = ("s", "o", "D", "^", "v", "p", "X", "<", ">", "h", "P")
INK, GREY, PALE = "#222222", "#6E6E6E", "#E8E8E8"
DASHES = (0, (5, 4))


def plain(axes: Axes, labelsize: float = 12) -> None:
    """A pale grid behind everything, no frame, no ticks.

    Args:
        axes: what is made plain.
        labelsize: of the numbers along the axes, in points.
    """
    axes.grid(color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=GREY, labelsize=labelsize, length=0)


def bright(colour: str) -> bool:
    """Whether dark text reads better on a colour than white."""
    return float(np.dot(to_rgb(colour), (0.3, 0.59, 0.11))) > 0.55


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as a PNG, whole or not at all.

    Args:
        figure: what to write.
        path: where; missing folders are made.

    Returns:
        The path.
    """
    with replacing(Path(path)) as partial:
        figure.savefig(partial, format="png")
    return Path(path)
