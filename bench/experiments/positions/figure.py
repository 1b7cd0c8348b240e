"""A scan of exit positions as a picture."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.experiments.positions.result import Positions, exits_of, unit_of
from bench.report.style import COLOURS, GREY, INK, plain


def positions_figure(found: Positions) -> Figure:
    """Draw mAP against the share of the whole network's time: exits, and smaller inputs; 1000 x 650 px.

    Args:
        found: the scan.

    Returns:
        The figure, not yet saved.
    """
    figure = Figure(figsize=(10, 6.5), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.09, 0.11, 0.88, 0.76))
    plain(axes)
    (whole,) = [place for place in found.places if place.name == "whole"]
    exits = exits_of(found)
    unit = unit_of(exits)
    groups = {
        f"network ends after a {unit}, with an exit head": exits,
        "whole network, smaller input": [*(p for p in found.places if p.name.endswith("px")), whole],
    }
    looks = zip(COLOURS[1:], "oD", ((8, -14), (-44, 12)), strict=False)
    for (label, places), (colour, marker, off) in zip(groups.items(), looks, strict=False):
        x, y = [place.time for place in places], [place.map for place in places]
        errors = [[v - p.interval[0] for v, p in zip(y, places, strict=True)]]
        errors += [[p.interval[1] - v for v, p in zip(y, places, strict=True)]]
        axes.errorbar(x, y, errors, color=colour, alpha=0.35, linewidth=1, fmt="none")
        axes.plot(x, y, marker=marker, markersize=8, linewidth=1.5, color=colour, label=label)
        for place in places:
            name = place.name.removeprefix(f"{unit} ")
            axes.annotate(name, (place.time, place.map), off, textcoords="offset points", color=colour)
    axes.set_xlabel(f"share of the whole network's time ({found.runtime}, batch 1)", fontsize=13, color=GREY)
    axes.set_ylabel(f"mAP on {found.val_images} val images", fontsize=13, color=GREY)
    axes.legend(frameon=False, fontsize=12, loc="lower right")
    figure.text(0.09, 0.94, f"Where to leave: after which {unit}, or at which resolution?", fontsize=16, color=INK)
    return figure
