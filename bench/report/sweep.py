"""A sweep as tables that fit 100 columns, as a picture, and for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from pydantic import TypeAdapter
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.files import replacing
from bench.report.criteria import auroc_cell
from bench.report.plot import COLOURS, DASHES, GREY, INK, MARKERS, PALE
from bench.routing.auroc import Auroc
from bench.sweep import Point, Sweep

Rows = list[list[str]]
FORMATS = ("table", "json", "csv", "markdown")
HALO = [withStroke(linewidth=3, foreground="white")]
HUES = (*COLOURS[1:], "#661100")  # of the criteria, which are eleven
ASKED = {"tolerance": "D", "budget": "^"}  # kind -> marker


def heads(sweep: Sweep) -> list[str]:
    """Whose sweep this is, and what its costs are."""
    paths = ", ".join(
        f"exit {k} {ms:.2f} ms and {flops / 1e6:.0f} MFLOPs"
        for k, (ms, flops) in enumerate(zip(sweep.ms, sweep.flops, strict=True), 1)
    )
    return [
        f"{sweep.detector}: policies chosen on {sweep.val_images:,} val images, measured on {sweep.test_images:,} test "
        f"images, split {sweep.test_hash[:12]}",
        f"a path costs {paths}, without looking",
        f"no policy over these exits is faster than {sweep.limit:.2f}x the last one: that is everybody at exit 1",
    ]


def policies_rows(sweep: Sweep) -> Rows:
    """Header and one row per point: how it routes, what it costs, what it reaches."""
    rows = [["policy", "criterion", "mAP [95 %]", "val", "AP50", "ms", "speed", "MFLOPs", "exits %"]]
    for one in sweep.points:
        rows.append(
            [
                one.name,
                one.criterion or "-",
                f"{one.map:.3f} [{one.low:.3f}, {one.high:.3f}]",
                f"{one.val_map:.3f}",
                f"{one.map50:.3f}",
                f"{one.ms:.2f}",
                f"{sweep.ms[-1] / one.ms:.2f}x",
                f"{one.flops / 1e6:.0f}",
                _percent(one.share),
            ]
        )
    return rows


def controls_rows(sweep: Sweep) -> Rows:
    """Header and one row per point: object sizes, thresholds, and what a gate is to be judged by."""
    rows = [["policy", "small", "medium", "large", "mAP", "at random [95 %]", "oracle", "efficiency", "thresholds"]]
    for one in sweep.points:
        drawn = one.random
        rows.append(
            [
                one.name,
                *(_ap(value) for value in (one.small, one.medium, one.large, one.map)),
                f"{drawn.mean:.3f} [{drawn.low:.3f}, {drawn.high:.3f}]" if drawn else "-",
                _ap(one.oracle),
                f"{round(one.efficiency, 2) + 0.0:.2f}" if one.efficiency is not None else "-",
                _thresholds(one),
            ]
        )
    return rows


def criteria_rows(sweep: Sweep) -> Rows:
    """Header and one row per criterion, the best first: AUROC at every inner exit."""
    found = by_criterion(sweep)
    header = [f"exit {one.exit + 1} ({100 * one.as_good:.0f} % as good)" for one in next(iter(found.values()))]
    return [["criterion", *header], *([name, *map(auroc_cell, ones)] for name, ones in found.items())]


def leavers_rows(sweep: Sweep) -> Rows:
    """Header and one row per kind of image: where they leave by the example's policy."""
    rows, before = [["told apart by", "kind of image", "images", "exits %"]], ""
    for one in sweep.leavers:
        rows.append(["" if one.factor == before else one.factor, one.group, str(one.images), _percent(one.exit_share)])
        before = one.factor
    return rows


def promises_rows(sweep: Sweep) -> Rows:
    """Header and one row per promise that the run kept: what its record says, and the F1 lost on test."""
    rows = [["policy", "criterion", "mAP [95 %]", "ms", "exits %", "F1 lost"]]
    for one in sweep.promises:
        reached = f"{one.map:.3f} [{one.low:.3f}, {one.high:.3f}]"
        rows.append([one.name, one.criterion, reached, f"{one.ms:.2f}", _percent(one.share), f"{one.lost:.4f}"])
    return rows


def tables(sweep: Sweep) -> dict[str, Rows]:
    """Title -> header and rows, of every table that has any."""
    found = {
        "Policies": policies_rows(sweep),
        "By size of object, and against the controls": controls_rows(sweep),
        "Does the criterion know on which images an exit is as good as the last? AUROC": criteria_rows(sweep),
        f"Who leaves early by {sweep.example}": leavers_rows(sweep),
        "Promises of the run, as measured there": promises_rows(sweep),
    }
    return {title: rows for title, rows in found.items() if len(rows) > 1}


def notes(sweep: Sweep) -> list[str]:
    """What each number means, and what is not there."""
    lines = [
        "policy: front1, front2, ... are the corners of the convex frontier on val; exit1, ... full are static exits",
        "ms: predicted for a test image, looking included; speed: against the last exit by itself",
        "val: mAP on the val images, where policies are chosen; a tolerance or budget is kept there, not always here",
        "at random: the same share of images at each exit, drawn; oracle: who knows the boxes, at the same mean cost",
        "efficiency: from at random (0) to the oracle (1); -: no room between them; thresholds: exit by exit",
        "AUROC: 0.5 is no knowledge, 1 is all; as good: F1 at IoU 0.5 not below the last exit's",
        *sweep.out_of_reach,
        *(f"{one.name}: {one.note}" for one in sweep.promises),
        *(f"{name}: the run has no policy that was shown to keep this promise" for name in sweep.unkept),
    ]
    return lines


def alarms(sweep: Sweep) -> list[str]:
    """What is plainly wrong with the detector, and with policies that were asked for."""
    return [*sweep.alarms, *(f"{one.name}: {alarm}" for one in sweep.points for alarm in one.alarms)]


def print_sweep(sweep: Sweep, console: Console) -> None:
    """Print it all."""
    for line in heads(sweep):
        console.print(Text(line, style="bold" if line == heads(sweep)[0] else ""))
    for title, rows in tables(sweep).items():
        console.print("", Text(title, style="bold"), _table(rows))
    for line in notes(sweep):
        console.print(Text(f"- {line}", style="dim"))
    for line in alarms(sweep):
        console.print(Text(f"ALARM: {line}", style="bold red"))


def _table(rows: Rows) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for header in rows[0]:
        left = header in ("policy", "criterion", "thresholds", "told apart by", "kind of image", "exits %")
        shown.add_column(header, justify="left" if left else "right", overflow="fold")
    for row in rows[1:]:
        if row[0] == "front1":
            shown.add_section()
        shown.add_row(*map(Text, row))
    return shown


def export_sweeps(found: Sequence[Sweep], fmt: str) -> str:
    """Sweeps as text in one of FORMATS but the table. JSON holds everything, CSV one row per point."""
    return {"json": _json, "csv": _csv, "markdown": _markdown}[fmt](found)


def _json(found: Sequence[Sweep]) -> str:
    return TypeAdapter(list[Sweep]).dump_json(list(found), indent=1).decode() + "\n"


def _csv(found: Sequence[Sweep]) -> str:
    rows = [{"detector": sweep.detector, **_flat(asdict(one))} for sweep in found for one in sweep.points]
    text = io.StringIO()
    writer = csv.DictWriter(text, dict.fromkeys(key for row in rows for key in row), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(row: Mapping[str, object]) -> dict[str, object]:
    """Nested values under dotted names, parts of tuples under numbers from 1; what is missing has no key."""
    cells: dict[str, object] = {}
    for key, value in row.items():
        if isinstance(value, tuple):
            value = dict(enumerate(value, 1))
        if isinstance(value, dict):
            cells |= {f"{key}.{part}": inner for part, inner in _flat(value).items()}
        elif value is not None:
            cells[str(key)] = value
    return cells


def _markdown(found: Sequence[Sweep]) -> str:
    lines = []
    for sweep in found:
        lines += [f"## {sweep.detector}", "", *(f"- {line}" for line in heads(sweep)[1:]), ""]
        for title, (header, *rows) in tables(sweep).items():
            lines += [f"**{title}**", ""]
            lines += ["| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows)] + [""]
        lines += [*(f"- {line}" for line in notes(sweep)), *(f"- ALARM: {line}" for line in alarms(sweep)), ""]
    return "\n".join(lines).rstrip() + "\n"


def sweep_figure(sweep: Sweep, path: Path) -> None:
    """Write a PNG of 1600 x 800 px: on the left mAP on test against predicted mean cost, on the right how well every
    criterion knows the images, which names the pale lines on the left."""
    with replacing(Path(path)) as partial:
        _draw(sweep).savefig(partial, format="png")


def _draw(sweep: Sweep) -> Figure:
    figure = Figure(figsize=(16, 8), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    left = figure.add_axes((0.055, 0.17, 0.565, 0.67))
    right = figure.add_axes((0.785, 0.17, 0.195, 0.67))
    styles = {name: HUES[i % len(HUES)] for i, name in enumerate(sweep.curves)}
    for axes in (left, right):
        axes.grid(color=PALE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=GREY, labelsize=13, length=0)
        axes.spines[:].set_visible(False)
    _costs(left, sweep, styles)
    _areas(right, sweep, styles)
    gained = f"no policy faster than {sweep.limit:.2f}x its last exit"
    figure.text(0.055, 0.955, f"{sweep.detector}: {gained}", va="top", fontsize=17, weight="bold", color=INK)
    about = f"Policies chosen on {sweep.val_images:,} val images, shown on {sweep.test_images:,} test images"
    figure.text(0.055, 0.9, about, va="top", fontsize=14, color=GREY)
    figure.text(0.66, 0.9, "Does the criterion know when an exit is good enough?", va="top", fontsize=14, color=GREY)
    for axes, corner, x in ((left, "lower left", 0.045), (right, "lower right", 0.99)):
        shown, names = axes.get_legend_handles_labels()
        columns = -(-len(names) // 2) if axes is right and len(names) > 2 else len(names)
        look = {"ncols": columns, "frameon": False, "fontsize": 13, "columnspacing": 1.2, "handletextpad": 0.5}
        figure.legend(shown, names, loc=corner, bbox_to_anchor=(x, 0.01), **look)
    return figure


def _costs(axes: Axes, sweep: Sweep, styles: Mapping[str, str]) -> None:
    scale, says = (1, "ms") if sweep.unit == "latency" else (1e6, "MFLOPs")
    paths = np.array(sweep.ms if sweep.unit == "latency" else sweep.flops) / scale

    def x(one: Point) -> float:
        return (one.ms if sweep.unit == "latency" else one.flops) / scale

    static = [one for one in sweep.points if one.kind == "static"]
    front = sorted((one for one in sweep.points if one.kind == "frontier"), key=x)
    unlooked = [float(np.dot(one.share, paths)) for one in front]  # neither chance nor the oracle looks
    drawn = [one.random for one in front]
    axes.fill_between(
        unlooked, [d.low for d in drawn], [d.high for d in drawn], color="#DDDDDD", linewidth=0, zorder=1,
        label="exits at random",
    )  # fmt: skip
    axes.plot(unlooked, [d.mean for d in drawn], color="#BDBDBD", linewidth=1.5, zorder=1)
    axes.plot(unlooked, [one.oracle for one in front], color=GREY, linewidth=1.8, linestyle=(0, (2, 2)), zorder=2,
              label="oracle")  # fmt: skip
    for number, (name, line) in enumerate(sweep.curves.items()):
        costs, maps = np.array(line).T
        label = None if number else "one criterion each"
        axes.plot(costs / scale, maps, color=styles[name], linewidth=1.6, alpha=0.5, zorder=2, label=label)
    places = [x(one) for one in front]
    axes.vlines(places, [one.low for one in front], [one.high for one in front], color=INK, alpha=0.3, linewidth=2)
    axes.plot(places, [one.map for one in front], color=INK, linewidth=2.2, marker="o", markersize=8,
              markeredgecolor="white", zorder=4, label="gates, best on val")  # fmt: skip
    axes.plot([x(one) for one in static], [one.map for one in static], linestyle="", marker="s", markersize=11,
              color="white", markeredgecolor=INK, markeredgewidth=2, zorder=5, label="static exits")  # fmt: skip
    for kind, marker in ASKED.items():
        asked = [one for one in sweep.points if one.kind == kind]
        if asked:
            axes.plot([x(one) for one in asked], [one.map for one in asked], linestyle="", marker=marker, color=INK,
                      markersize=11, markeredgecolor="white", zorder=6, label=kind)  # fmt: skip
    axes.axvline(paths[0], color=GREY, linewidth=1.2, linestyle=DASHES, zorder=1)
    low = min(min(one.low for one in (*front, *static)), min(d.low for d in drawn))
    high = max(max(one.high for one in (*front, *static)), max(one.oracle for one in front))
    room, width = 0.07 * (high - low) or 0.05, paths[-1] - paths[0]
    axes.set_xlim(paths[0] - 0.06 * width, max(*places, paths[-1]) + 0.09 * width)
    axes.set_ylim(low - 1.5 * room, high + room)
    axes.set_xlabel(f"mean {says} of a test image, predicted", color=INK, fontsize=14)
    axes.set_ylabel("mAP on the test images, with 95 % interval", color=INK, fontsize=14)
    bound = "nothing is faster" if sweep.unit == "latency" else "nothing is cheaper"
    look = {"rotation": 90, "ha": "right", "va": "top", "fontsize": 12, "color": GREY}
    axes.annotate(bound, (paths[0], 0.98), (-5, 0), ("data", "axes fraction"), "offset points", **look)
    for number, one in enumerate(static, 1):
        last = number == len(static)
        _say(axes, "last exit" if last else f"exit {number}", (x(one), one.map), (-4, -20) if last else (12, -16))
    named: dict[tuple[float, float], list[str]] = {}
    for one in sweep.points:
        if one.kind in ASKED:
            named.setdefault((x(one), one.map), []).append(one.name)
    for place, names in named.items():
        _say(axes, ", ".join(names), place, (-9, 10), "right")


def _say(axes: Axes, text: str, place: tuple[float, float], offset: tuple[int, int], side: str = "left") -> None:
    look = {"fontsize": 12, "color": INK, "ha": side, "va": "center", "zorder": 7, "path_effects": HALO}
    axes.annotate(text, place, xytext=offset, textcoords="offset points", **look)


def _areas(axes: Axes, sweep: Sweep, styles: Mapping[str, str]) -> None:
    """AUROC with its interval, one row per criterion and in it one mark per inner exit, filled for the first."""
    found = by_criterion(sweep)
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
            axes.plot(one.value, y, marker=MARKERS[1 + one.exit % (len(MARKERS) - 1)], markersize=8, color=fill,
                      markeredgecolor=colour, markeredgewidth=1.8, zorder=3)  # fmt: skip
    axes.axvline(0.5, color=GREY, linewidth=1.2, linestyle=DASHES, zorder=1)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    axes.set_yticks(range(len(found)), list(found), fontsize=13)
    for label, name in zip(axes.get_yticklabels(), found, strict=True):
        label.set_color([0.75 * part for part in to_rgb(styles[name])])
    axes.set_xlabel("AUROC, with 95 % interval", color=INK, fontsize=14)
    for exit in range(exits):
        marker = MARKERS[1 + exit % (len(MARKERS) - 1)]
        axes.plot([], [], linestyle="", marker=marker, markersize=8, color="white" if exit else GREY,
                  markeredgecolor=GREY, markeredgewidth=1.8, label=f"exit {exit + 1}")  # fmt: skip


def by_criterion(sweep: Sweep) -> dict[str, list[Auroc]]:
    """Criterion -> its areas exit by exit, the criterion that knows most first."""
    found: dict[str, list[Auroc]] = {}
    for one in sweep.criteria:
        found.setdefault(one.criterion, []).append(one)
    return dict(sorted(found.items(), key=lambda item: -sum(_known(one) for one in item[1])))


def _known(one: Auroc) -> float:
    return 0.5 if one.value is None else one.value


def _ap(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(shares: Sequence[float]) -> str:
    return "/".join(f"{100 * share:.0f}" for share in shares)


def _thresholds(one: Point) -> str:
    if one.thresholds is None:
        return "-"
    return ", ".join("never" if value is None else f"{value:.3g}" for value in one.thresholds)
