"""The replayed rounds as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.experiments.phases.result import Phases, Run
from bench.report.style import GREY, INK

SHADES = ("#56B4E9", "#0072B2", "#C9C9C9")  # of exits 1 and 2 and the full network
OUTCOMES = {"caught": "#B03A00", "passes": "#00704F"}
ASSIGNMENTS = {"random": "anchors dealt at random", "iou": "anchors matched by IoU"}


def phases_figure(found: Phases, outcome: str) -> Figure:
    """Draw a panel per assignment with a bar per recipe; 1600 x 700 px.

    A bar is divided into the shares of the exits. Beside it stand the mAP reached and whether an alarm went off.

    Args:
        found: the replayed rounds.
        outcome: what came of them, for the title.

    Returns:
        The figure, not yet saved.
    """
    figure = Figure(figsize=(16, 7), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    names = list(dict.fromkeys(f"{run.recipe}  {run.tried}" for run in found.runs))
    for column, (assignment, title) in enumerate(ASSIGNMENTS.items()):
        axes = figure.add_axes((0.195 + 0.405 * column, 0.11, 0.185, 0.71))
        _panel(axes, [run for run in found.runs if run.assignment == assignment])
        axes.set_title(title, loc="left", fontsize=15, color=INK, pad=30)
        axes.set_yticks(range(len(names)), names if column == 0 else [""] * len(names), fontsize=13)
    for label, shade in zip(("exit 1", "exit 2", "full network"), SHADES, strict=True):
        axes.barh([0], [0], color=shade, label=f"answered by {label}")
    figure.legend(*axes.get_legend_handles_labels(), loc="lower left", ncols=3, frameon=False, fontsize=13)
    figure.text(
        0.015, 0.965, f"Nine failed rounds, replayed: {outcome}", va="top", fontsize=16, weight="bold", color=INK
    )
    return figure


def _panel(axes: Axes, runs: Sequence[Run]) -> None:
    for row, run in enumerate(runs):
        start = 0.0
        for share, shade in zip(run.exit_share, SHADES, strict=True):
            axes.barh(row, share, left=start, color=shade, height=0.7)
            start += share
        reached = " ".join(f"{value:.2f}" for value in run.map_per_exit)
        look: dict[str, Any] = {"va": "center", "fontsize": 12.5, "annotation_clip": False}
        axes.annotate(reached, (1.04, row), color=INK, **look)
        axes.annotate(f"{run.map:.2f}", (1.55, row), color=INK, weight="bold", **look)
        mark = run.outcome + ("" if run.as_expected else "  (!)")
        axes.annotate(mark, (1.77, row), color=OUTCOMES[run.outcome], weight="bold", **look)
    head: dict[str, Any] = {"va": "bottom", "fontsize": 12, "color": GREY, "annotation_clip": False}
    for x, text in ((1.04, "mAP per exit"), (1.55, "routed"), (1.77, "alarms")):
        axes.annotate(text, (x, -0.6), **head)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(runs) - 0.5, -0.5)
    axes.set_xticks([0, 0.5, 1], ["0", "50", "100 %"])
    axes.tick_params(colors=GREY, labelsize=12, length=0)
    axes.tick_params(axis="y", colors=INK)
    axes.spines[:].set_visible(False)
