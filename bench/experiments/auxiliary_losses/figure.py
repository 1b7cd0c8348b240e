"""The AP50 after every layer under each training recipe, as a picture."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.experiments.auxiliary_losses.result import RecipeComparison
from bench.report.style import COLOURS, GREY, INK, plain


def auxiliary_losses_figure(found: RecipeComparison) -> Figure:
    """Draw AP50 after every layer, a line per recipe; 1000 x 600 px.

    Args:
        found: the recipes' results.

    Returns:
        The figure, not yet saved.
    """
    figure = Figure(figsize=(10, 6), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.08, 0.11, 0.64, 0.76))
    plain(axes)
    for one, colour in zip(found.recipes, COLOURS, strict=False):
        axes.plot(found.after, one.own, marker="o", linewidth=2, color=colour, label=one.name)
        axes.plot(found.after, one.shared, marker="o", linewidth=1, linestyle=":", markersize=4, color=colour)
    axes.set_xticks(found.after)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("layer", fontsize=13, color=GREY)
    axes.set_ylabel(f"AP50 on {found.settings.images[1]} val images", fontsize=13, color=GREY)
    axes.legend(frameon=False, fontsize=12, loc="upper left", bbox_to_anchor=(1.02, 1))
    figure.text(0.08, 0.94, "What a YOLOS learns from what it is asked", fontsize=16, color=INK)
    figure.text(0.08, 0.895, "line: a head of the layer's own; dots: the last layer's head", fontsize=12, color=GREY)
    return figure
