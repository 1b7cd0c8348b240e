"""A sweep as a picture: what policies reach at what cost, and how well every criterion knows the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from bench.report.criteria import by_criterion
from bench.report.style import COLOURS, DASHES, GREY, INK, MARKERS, plain
from bench.study.sweep import Sweep, SweepPoint

HALO = [withStroke(linewidth=3, foreground="white")]
HUES = (*COLOURS[1:], "#661100")  # of the criteria, which are eleven
ASKED = {"tolerance": "D", "budget": "^"}  # kind -> marker


def sweep_figure(sweep: Sweep) -> Figure:
    """Draw mAP against cost on the left, and how well every criterion knows the images on the right.

    The cost is the predicted mean of a test image. The criteria on the right name the pale lines on the left.

    Args:
        sweep: of one detector.

    Returns:
        A figure of 1600 x 800 px.
    """
    figure = Figure(figsize=(16, 8), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    left = figure.add_axes((0.055, 0.17, 0.565, 0.67))
    right = figure.add_axes((0.785, 0.17, 0.195, 0.67))
    styles = {name: HUES[i % len(HUES)] for i, name in enumerate(sweep.curves)}
    for axes in (left, right):
        plain(axes, labelsize=13)
    _costs(left, sweep, styles)
    _areas(right, sweep, styles)
    gained = f"no policy faster than {sweep.limit:.2f}x its last exit"
    figure.text(0.055, 0.955, f"{sweep.detector}: {gained}", va="top", fontsize=17, weight="bold", color=INK)
    about = f"Policies chosen on {sweep.val_images:,} val images, shown on {sweep.test_images:,} test images"
    figure.text(0.055, 0.9, about, va="top", fontsize=14, color=GREY)
    figure.text(0.66, 0.9, "Does the criterion know when an exit is good enough?", va="top", fontsize=14, color=GREY)
    corners: tuple[tuple[Axes, Literal["lower left", "lower right"], float], ...]
    corners = ((left, "lower left", 0.045), (right, "lower right", 0.99))
    for axes, corner, x in corners:
        shown, names = axes.get_legend_handles_labels()
        columns = -(-len(names) // 2) if axes is right and len(names) > 2 else len(names)
        look: dict[str, Any] = {
            "ncols": columns,
            "frameon": False,
            "fontsize": 13,
            "columnspacing": 1.2,
            "handletextpad": 0.5,
        }
        figure.legend(shown, [str(name) for name in names], loc=corner, bbox_to_anchor=(x, 0.01), **look)
    return figure


def _costs(axes: Axes, sweep: Sweep, styles: Mapping[str, str]) -> None:
    """The mAP against mean cost: the controls in grey, one pale line per criterion, and the policies on top."""
    static = [one for one in sweep.points if one.kind == "static"]
    front = [one for one in sweep.points if one.kind == "frontier"]
    _controls(axes, sweep, front)
    for number, (name, line) in enumerate(sweep.curves.items()):
        costs, maps = np.array(line).T
        label = None if number else "one criterion each"
        look: dict[str, Any] = {"color": styles[name], "linewidth": 1.6, "alpha": 0.5, "zorder": 2}
        axes.plot(costs / _scale(sweep), maps, label=label, **look)
    _policies(axes, sweep, static, front)
    _bounds(axes, sweep, static, front)


def _scale(sweep: Sweep) -> float:
    """What a cost is divided by: times are shown in ms, FLOPs in millions."""
    return 1 if sweep.unit == "latency" else 1e6


def _cost(one: SweepPoint, sweep: Sweep) -> float:
    return (one.ms if sweep.unit == "latency" else one.flops) / _scale(sweep)


def _controls(axes: Axes, sweep: Sweep, front: Sequence[SweepPoint]) -> None:
    """Exits at random and the oracle, at what they cost without looking."""
    costs = [one.ms_without_criterion if sweep.unit == "latency" else _cost(one, sweep) for one in front]
    drawn, oracle = [one.random for one in front if one.random], _oracle(front)
    low, high = [one.low for one in drawn], [one.high for one in drawn]
    axes.fill_between(costs, low, high, color="#DDDDDD", linewidth=0, zorder=1, label="exits at random")
    axes.plot(costs, [one.mean for one in drawn], color="#BDBDBD", linewidth=1.5, zorder=1)
    dots: dict[str, Any] = {"color": GREY, "linewidth": 1.8, "linestyle": (0, (2, 2)), "zorder": 2}
    axes.plot(costs, oracle, label="oracle", **dots)


def _oracle(front: Sequence[SweepPoint]) -> list[float]:
    return [one.oracle for one in front if one.oracle is not None]


def _policies(axes: Axes, sweep: Sweep, static: Sequence[SweepPoint], front: Sequence[SweepPoint]) -> None:
    """The frontier's gates with their intervals, the static exits, and what was asked for, named."""
    places = [_cost(one, sweep) for one in front]
    axes.vlines(places, [one.low for one in front], [one.high for one in front], color=INK, alpha=0.3, linewidth=2)
    line: dict[str, Any] = {
        "color": INK,
        "linewidth": 2.2,
        "marker": "o",
        "markersize": 8,
        "markeredgecolor": "white",
        "zorder": 4,
    }
    axes.plot(places, [one.map for one in front], label="gates, best on val", **line)
    marks: dict[str, Any] = {"linestyle": "", "markersize": 11}
    square: dict[str, Any] = {
        "marker": "s",
        "color": "white",
        "markeredgecolor": INK,
        "markeredgewidth": 2,
        "zorder": 5,
        **marks,
    }
    axes.plot([_cost(one, sweep) for one in static], [one.map for one in static], label="static exits", **square)
    for number, one in enumerate(static, 1):
        last = number == len(static)
        place = (_cost(one, sweep), one.map)
        _say(axes, "last exit" if last else f"exit {number}", place, (-4, -20) if last else (12, -16))
    named: dict[tuple[float, float], list[str]] = {}
    for kind, marker in ASKED.items():
        asked = [one for one in sweep.points if one.kind == kind]
        if asked:
            look: dict[str, Any] = {"marker": marker, "color": INK, "markeredgecolor": "white", "zorder": 6, **marks}
            axes.plot([_cost(one, sweep) for one in asked], [one.map for one in asked], label=kind, **look)
        for one in asked:
            named.setdefault((_cost(one, sweep), one.map), []).append(one.name)
    for place, names in named.items():
        _say(axes, ", ".join(names), place, (-9, 10), "right")


def _bounds(axes: Axes, sweep: Sweep, static: Sequence[SweepPoint], front: Sequence[SweepPoint]) -> None:
    """The cost that no policy can pass, and axes with room for everything."""
    first, *_, last = np.array(sweep.ms if sweep.unit == "latency" else sweep.flops) / _scale(sweep)
    axes.axvline(first, color=GREY, linewidth=1.2, linestyle=DASHES, zorder=1)
    low = min(*(one.low for one in (*front, *static)), *(one.random.low for one in front if one.random))
    high = max(*(one.high for one in (*front, *static)), *_oracle(front))
    room, width = 0.07 * (high - low) or 0.05, last - first
    axes.set_xlim(first - 0.06 * width, max(last, *(_cost(one, sweep) for one in front)) + 0.09 * width)
    axes.set_ylim(low - 1.5 * room, high + room)
    unit, better = ("ms", "faster") if sweep.unit == "latency" else ("MFLOPs", "cheaper")
    axes.set_xlabel(f"mean {unit} of a test image, predicted", color=INK, fontsize=14)
    axes.set_ylabel("mAP on the test images, with 95 % interval", color=INK, fontsize=14)
    look: dict[str, Any] = {"rotation": 90, "ha": "right", "va": "top", "fontsize": 12, "color": GREY}
    axes.annotate(f"nothing is {better}", (first, 0.98), (-5, 0), ("data", "axes fraction"), "offset points", **look)


def _say(axes: Axes, text: str, place: tuple[float, float], offset: tuple[int, int], side: str = "left") -> None:
    look: dict[str, Any] = {"fontsize": 12, "color": INK, "ha": side, "va": "center", "zorder": 7, "path_effects": HALO}
    axes.annotate(text, place, xytext=offset, textcoords="offset points", **look)


def _areas(axes: Axes, sweep: Sweep, styles: Mapping[str, str]) -> None:
    """AUROC with its interval, one row per criterion and in it one mark per inner exit, filled for the first."""
    found = by_criterion(sweep.criteria)
    exits = len(sweep.ms) - 1
    for row, (name, ones) in enumerate(found.items()):
        colour = styles[name]
        for one in ones:
            if one.value is None:
                continue
            y = row + 0.5 * ((one.exit + 0.5) / exits - 0.5)
            if one.interval:
                axes.hlines(y, *one.interval, color=colour, linewidth=2, alpha=0.5, zorder=2)
            fill = "white" if one.exit else colour
            axes.plot(
                one.value,
                y,
                marker=MARKERS[1 + one.exit % (len(MARKERS) - 1)],
                markersize=8,
                color=fill,
                markeredgecolor=colour,
                markeredgewidth=1.8,
                zorder=3,
            )
    axes.axvline(0.5, color=GREY, linewidth=1.2, linestyle=DASHES, zorder=1)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    axes.set_yticks(range(len(found)), list(found), fontsize=13)
    for label, name in zip(axes.get_yticklabels(), found, strict=True):
        red, green, blue = to_rgb(styles[name])
        label.set_color((0.75 * red, 0.75 * green, 0.75 * blue))
    axes.set_xlabel("AUROC, with 95 % interval", color=INK, fontsize=14)
    for exit in range(exits):
        marker = MARKERS[1 + exit % (len(MARKERS) - 1)]
        axes.plot(
            [],
            [],
            linestyle="",
            marker=marker,
            markersize=8,
            color="white" if exit else GREY,
            markeredgecolor=GREY,
            markeredgewidth=1.8,
            label=f"exit {exit + 1}",
        )
