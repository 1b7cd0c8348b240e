"""Sweeps as a page: their tables, and what the numbers in them mean."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter

from bench.report.criteria import auroc_cell, by_criterion, exit_header
from bench.report.formats import flat
from bench.report.page import Block, Column, Heading, Lines, Page, Row, Section, Table, lines
from bench.report.records_table import percent
from bench.study.sweep import Sweep, SweepPoint

Rows = list[list[str]]
WORDS = ("policy", "criterion", "thresholds", "told apart by", "kind of image", "exits %")  # in columns at the left


def heads(sweep: Sweep) -> list[str]:
    """Whose sweep this is, and what its costs are."""
    paths = ", ".join(
        f"exit {k} {ms:.2f} ms and {flops / 1e6:.0f} MFLOPs"
        for k, (ms, flops) in enumerate(zip(sweep.ms, sweep.flops, strict=True), 1)
    )
    return [
        f"policies chosen on {sweep.val_images:,} val images, measured on {sweep.test_images:,} test "
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
                percent(one.share),
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
    found = by_criterion(sweep.criteria)
    header = [exit_header(one) for one in next(iter(found.values()))]
    return [["criterion", *header], *([name, *map(auroc_cell, ones)] for name, ones in found.items())]


def leavers_rows(sweep: Sweep) -> Rows:
    """Header and one row per kind of image: where they leave by the example's policy."""
    rows, before = [["told apart by", "kind of image", "images", "exits %"]], ""
    for one in sweep.exit_profile:
        rows.append(["" if one.factor == before else one.factor, one.group, str(one.images), percent(one.exit_share)])
        before = one.factor
    return rows


def promises_rows(sweep: Sweep) -> Rows:
    """Header and one row per promise that the run kept: what its record says, and the F1 lost on test."""
    rows = [["policy", "criterion", "mAP [95 %]", "ms", "exits %", "F1 lost"]]
    for one in sweep.promises:
        reached = f"{one.map:.3f} [{one.low:.3f}, {one.high:.3f}]"
        rows.append([one.name, one.criterion, reached, f"{one.ms:.2f}", percent(one.share), f"{one.lost:.4f}"])
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


def sweeps_page(found: Sequence[Sweep]) -> Page:
    """Every sweep's tables and what their numbers mean. As data: everything for JSON, one row per point for CSV."""
    plain = TypeAdapter(SweepPoint).dump_python
    return Page(
        [block for sweep in found for block in _blocks(sweep)],
        lambda: TypeAdapter(list[Sweep]).dump_python(list(found), mode="json"),
        lambda: [{"detector": sweep.detector, **flat(plain(one))} for sweep in found for one in sweep.points],
    )


def _blocks(sweep: Sweep) -> list[Block]:
    about, *paths = heads(sweep)
    said = lines((f"ALARM: {line}" for line in alarms(sweep)), "bold red").lines
    return [
        Heading(sweep.detector, about),
        lines(paths),
        *(_table(title, rows) for title, rows in tables(sweep).items()),
        Lines([*lines(notes(sweep), "dim").lines, *said]),
    ]


def _table(title: str, rows: Rows) -> Table:
    """A section of its own for the points of the frontier and what follows."""
    columns = [Column(header, words=header in WORDS, folds=header in WORDS[2:]) for header in rows[0]]
    body = [Row(row) for row in rows[1:]]
    first = next((i for i, row in enumerate(body) if row.cells[0] == "front1"), 0)
    return Table(columns, [Section(part) for part in (body[:first], body[first:]) if part], title)


def _ap(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _thresholds(one: SweepPoint) -> str:
    if one.thresholds is None:
        return "-"
    return ", ".join("never" if value is None else f"{value:.3g}" for value in one.thresholds)
