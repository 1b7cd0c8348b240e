"""Tokens in the plane, position by position, as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from bench.experiments.probe.features import BACKGROUND, OBJECT, PositionFeatures
from bench.experiments.probe.grid import made
from bench.experiments.probe.result import Probe
from bench.experiments.probe.tokens import cloud
from bench.report.style import COLOURS, GREY, INK, PALE

KINDS = {BACKGROUND: ("background", "#BDBDBD"), OBJECT: ("object", COLOURS[2])}


def tokens_figure(names: Sequence[str], seen: Sequence[PositionFeatures], found: Probe) -> Figure:
    """Draw PCA above and t-SNE below, a column per position; only who is near whom means something.

    Args:
        names: of the positions.
        seen: the features after each position.
        found: the result, for the titles.

    Returns:
        The figure, not yet saved.
    """
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
