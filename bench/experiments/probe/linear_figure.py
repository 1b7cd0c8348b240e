"""What the linear probe reaches after every position, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.experiments.probe.result import Position, Probe
from bench.experiments.probe.rule import ENOUGH, USELESS
from bench.report.style import COLOURS, DASHES, GREY, INK, plain


def linear_figure(found: Probe) -> Figure:
    """Draw mAP and AP50 of the linear probe after every position; 900 x 550 px.

    Beside them stand those of the untrained trunk, and the rule's thresholds, each where it holds.

    Args:
        found: the result.

    Returns:
        The figure, not yet saved.
    """
    figure = Figure(figsize=(9, 5.5), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.09, 0.2, 0.88, 0.67))
    plain(axes)
    at = np.arange(len(found.positions))
    for number, threshold in enumerate(ENOUGH[: len(at)]):
        axes.plot([number - 0.35, number + 0.35], [threshold] * 2, color=INK, linewidth=2, linestyle=DASHES)
        where: dict[str, Any] = {"xytext": (0, 5), "textcoords": "offset points", "ha": "center", "color": INK}
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
    """Draw the two metrics of one trunk with their intervals.

    Args:
        axes: where to draw.
        at: where each position stands, [P].
        positions: of the trunk.
        whose: what the legend adds to a metric's name.
        style: of the lines, as matplotlib writes it.
    """
    for metric, label, colour in (("map50", "AP50", COLOURS[1]), ("map", "mAP", COLOURS[2])):
        value = np.array([getattr(one.linear, metric) for one in positions])
        low, high = np.array([getattr(one.linear, f"{metric}_interval") for one in positions]).T
        axes.plot(at, value, style, marker="o", color=colour, linewidth=1.8, label=label + whose)
        axes.vlines(at, low, high, color=colour, alpha=0.4, linewidth=1.5)
