"""A figure of panels in rows and columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def made(columns: int, heights: Sequence[float], side: float) -> tuple[Figure, np.ndarray]:
    """An empty figure of panels in rows and columns.

    Args:
        columns: how many panels stand side by side.
        heights: of the rows, as multiples of a panel's width.
        side: width of a panel, in inches.

    Returns:
        The figure and its axes, [rows, columns].
    """
    size = (side * columns, side * sum(heights) + 0.5)
    figure = Figure(figsize=size, dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
