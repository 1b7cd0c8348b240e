"""The picture of a run.

It shows mAP against latency and against FLOPs, with one colour and marker per strategy, the frontier and the verdict.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from bench.judge.frontier import frontier
from bench.judge.groups import by_runtime, short_name
from bench.judge.verdict import verdict
from bench.records import Record, baseline_of, same_split
from bench.report.records_table import flops_format
from bench.report.selection import Cost, select_rows
from bench.report.style import COLOURS, DASHES, GREY, INK, MARKERS, plain

DECISIONS = {"WORTH IT": "#00704F", "NOT WORTH IT": "#B03A00", "UNDECIDED": "#8A6100", None: INK}


@dataclass(frozen=True)
class _Panel:
    """One pair of axes: the records in it, what their x is, what the axis says, and what stands above."""

    records: Sequence[Record]
    cost: Cost
    says: str
    title: str = ""


def pareto_figure(records: Sequence[Record]) -> Figure:
    """Draw mAP against time and against FLOPs, or with several runtimes against the time on each.

    Args:
        records: of one run, or of several that share their test split.

    Returns:
        A figure of 1600 x 800 px.

    Raises:
        UserError: the records were measured on different test splits.
    """
    same_split(records)
    panels, styles = _panels(records), _styles(records)
    figure = Figure(figsize=(16, 8), dpi=100, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    figure.subplots_adjust(left=0.06, right=0.985, top=0.83, bottom=0.17, wspace=0.05)
    every[0].set_ylabel("mAP on the test images, with 95 % interval", color=INK, fontsize=14)
    for axes, panel in zip(every, panels, strict=True):
        axes.set_xlabel(panel.says, color=INK, fontsize=14)
        axes.set_title(panel.title, color=INK, fontsize=14, loc="left")
        _frame(axes, panel.records, panel.cost, records)
        _reference(axes, panel.records, panel.cost)
        _points(axes, panel.records, styles, panel.cost)
    _title(figure, records)
    _legend(figure, every, styles)
    canvas.draw()
    for axes, panel in zip(every, panels, strict=True):
        _label(axes, panel.records, styles, panel.cost)
    return figure


def _panels(records: Sequence[Record]) -> list[_Panel]:
    sections = by_runtime(records)
    if len(sections) > 1:
        says = "mean ms per image, batch 1"
        return [_Panel(here, _time, says, _headline(runtime, here)) for runtime, here in sections.items()]
    unit = flops_format(records)[0]
    scale = {"MFLOPs": 1e6, "GFLOPs": 1e9}[unit]
    return [
        _Panel(records, _time, f"mean ms per image, batch 1 ({records[0].runtime})"),
        _Panel(records, lambda r: r.flops_mean / scale, f"mean {unit} per image ({records[0].flops_unit})"),
    ]


def _time(record: Record) -> float:
    return record.latency_ms.mean


def _headline(runtime: str, here: Sequence[Record]) -> str:
    """A runtime and how fast its baseline is: the panels differ in their x axes."""
    baseline = baseline_of(here, runtime)
    return f"{runtime}: fp32 baseline {_time(baseline):.2f} ms" if baseline else runtime


def _legend(figure: Figure, every: Sequence[Axes], styles: Mapping[str, tuple[str, str]]) -> None:
    """What the panels show between them: a strategy need not run on every runtime."""
    found = {name: shown for axes in every for shown, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    names = [name for name in ("frontier", *styles) if name in found]
    shown = [found[name] for name in names]
    columns = len(names) if len(names) < 8 else -(-len(names) // 2)
    figure.legend(shown, names, loc="lower center", ncols=columns, frameon=False, fontsize=14)


def _styles(records: Sequence[Record]) -> dict[str, tuple[str, str]]:
    """Strategy -> colour and marker; the baseline's are always the same."""
    strategies = dict.fromkeys(["baseline", *(r.strategy for r in records)])
    marks = len(MARKERS)  # as many as colours: from there on the pairs are others
    return {s: (COLOURS[i % len(COLOURS)], MARKERS[(i + i // marks) % marks]) for i, s in enumerate(strategies)}


def _title(figure: Figure, records: Sequence[Record]) -> None:
    found = verdict(records)
    text = textwrap.fill(found.sentence, 128)
    colour = INK if any(r.forced for r in records) else DECISIONS[found.decision]
    figure.text(0.06, 0.965, text, va="top", fontsize=14, weight="bold", color=colour)


def _frame(axes: Axes, records: Sequence[Record], cost: Cost, everyone: Sequence[Record]) -> None:
    plain(axes, labelsize=13)
    axes.set_xlim(*_roomy([cost(r) for r in records], 0.1))
    axes.set_ylim(*_roomy([end for r in everyone for end in (*r.map_interval, r.map)], 0.05))


def _roomy(values: Sequence[float], share: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = share * (high - low) or 0.1 * high or 1.0
    return low - room, high + room


def _reference(axes: Axes, records: Sequence[Record], cost: Cost) -> None:
    """The frontier as steps, the best mAP within a cost, and the baseline as dashes."""
    end, bottom = axes.get_xlim()[1], axes.get_ylim()[0]
    edge = [records[k] for k in frontier([(cost(r), r.map) for r in records])]
    x = np.repeat([*map(cost, edge), end], 2)[:-1]
    y = np.repeat([bottom, *(r.map for r in edge)], 2)[1:]
    axes.plot(x, y, color="#C9C9C9", linewidth=4, zorder=1, label="frontier")
    if baseline := baseline_of(records, records[0].runtime):
        axes.axhline(baseline.map, color=GREY, linewidth=1, linestyle=DASHES, zorder=1)
        axes.axvline(cost(baseline), color=GREY, linewidth=1, linestyle=DASHES, zorder=1)


def _points(axes: Axes, records: Sequence[Record], styles: dict[str, tuple[str, str]], cost: Cost) -> None:
    """Points with their intervals; a thin line joins the operating points of one detector."""
    for strategy, (colour, marker) in styles.items():
        detectors: dict[tuple[str, str], list[Record]] = {}
        for record in sorted((r for r in records if r.strategy == strategy), key=cost):
            detectors.setdefault((record.variant, record.precision), []).append(record)
        for i, own in enumerate(detectors.values()):
            x, y = [cost(r) for r in own], [r.map for r in own]
            low, high = zip(*(r.map_interval for r in own), strict=True)
            axes.vlines(x, low, high, color=colour, alpha=0.35, linewidth=2, zorder=2)
            name = strategy if i == 0 else None
            look: dict[str, Any] = {"markersize": 10, "markeredgecolor": "white", "linewidth": 1.0}
            axes.plot(x, y, color=colour, marker=marker, zorder=3, label=name, **look)


def _label(axes: Axes, records: Sequence[Record], styles: dict[str, tuple[str, str]], cost: Cost) -> None:
    """Name the points worth reading where the name covers the least.

    That is beside the point if there is room, else further off, with a leader.
    """
    places = axes.transData.transform([(cost(r), r.map) for r in records])
    lines = [line.get_transform().transform(line.get_xydata()) for line in axes.lines]
    lines += [axes.transData.transform([(cost(r), end) for end in r.map_interval]) for r in records]
    markers = np.repeat(_around(places, 9), 3, axis=0)
    taken = np.concatenate([markers, *(_around(_along(line), 2) for line in lines)])
    names = np.empty((0, 4))
    named = select_rows(records, cost)
    for record, place in zip(records, places, strict=True):
        if record.name not in named:
            continue
        text = axes.annotate(
            short_name(record).removeprefix(f"{record.strategy}-"),
            place,
            xycoords="figure pixels",
            textcoords="figure pixels",
            fontsize=12,
            color=[0.7 * part for part in to_rgb(styles[record.strategy][0])],
            ha="center",
            va="center",
            zorder=4,
            path_effects=[withStroke(linewidth=3, foreground="white")],
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.7, "shrinkA": 2, "shrinkB": 7},
        )
        size = text.get_window_extent()
        box = _free_box(place, size.width, size.height, taken, names, np.array(axes.bbox.extents))
        centre = (box[:2] + box[2:]) / 2
        text.set_position(centre)
        taken = np.concatenate([taken, _around(_along(np.array([place, centre])), 4)])
        names = np.concatenate([names, box[None]])


def _around(places: np.ndarray, reach: float) -> np.ndarray:
    return np.concatenate([places - reach, places + reach], axis=1)


def _along(corners: np.ndarray) -> np.ndarray:
    """Points every 4 px or less along a line through corners [n, 2]: [m, 2], px."""
    pairs = list(pairwise(corners)) or [(corners[0], corners[0])]
    return np.concatenate([np.linspace(a, b, 2 + int(np.abs(b - a).max() / 4)) for a, b in pairs])


def _free_box(
    place: np.ndarray, width: float, height: float, taken: np.ndarray, names: np.ndarray, panel: np.ndarray
) -> np.ndarray:
    """The box of a size near a place that covers the least.

    It overlaps what is taken and the panel's outside as little as possible; neither it nor its leader crosses another
    name if that can be avoided.

    Args:
        place: x and y, px.
        width: of the box, px.
        height: of the box, px.
        taken: boxes, [n, 4], px.
        names: boxes of other names, [m, 4], px.
        panel: one box, [4], px.

    Returns:
        [x0, y0, x1, y1], px.
    """
    half = np.array([width, height]) / 2
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    reaches = np.arange(10, 80, 10)[:, None, None]
    centres = (place + directions * (half + reaches)).reshape(-1, 2)
    boxes = np.concatenate([centres - half, centres + half], axis=1)
    leaders = place + np.linspace(0, 1, 9)[:, None, None] * (centres - place)
    crossed = _overlap(_around(leaders.reshape(-1, 2), 1), names).sum(axis=1).reshape(9, -1).sum(axis=0)
    covered = _overlap(boxes, taken).sum(axis=1) + 30 * (_overlap(boxes, names).sum(axis=1) + crossed)
    outside = width * height - _overlap(boxes, panel[None])[:, 0]
    distance = np.repeat(reaches.ravel(), len(angles))
    return boxes[np.argmin(covered + 10 * outside + 3 * distance)]


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Common area of every box of a [n, 4] with every box of b [m, 4]: [n, m], px."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.prod(np.clip(high - low, 0, None), axis=2)
