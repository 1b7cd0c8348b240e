"""Class by class, in runs with several.

How accurate are the baseline, every exit, and the gate that speaks for early exit, and where do the images that hold
the class leave? A compact table for the terminal, and a page of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.judge.groups import by_runtime, short_name
from bench.judge.verdict import is_early, verdict
from bench.records import ExitAccuracy, Record, baseline_of
from bench.report.exit_profile import MOST_GROUPS
from bench.report.page import Column, Page, Row, Section, Table, simple_table
from bench.report.records_table import percent

FALLBACK = "tol5"  # the operating point that speaks where the verdict names none
MOST_COLUMNS = 6  # in a terminal with AP50 beside AP; more exits share one, with AP alone

PerClass = Mapping[str, float | None] | None


def speaker(records: Sequence[Record]) -> Record | None:
    """The gate to show class by class: the one that the verdict is about.

    Args:
        records: of one run.

    Returns:
        Where the verdict names none, the gate of FALLBACK, or the first one, on the fastest runtime with any. None
        without a gate, and where there is a single class.
    """
    if len(records[0].ap_per_class) < 2:
        return None
    gates = [r for here in by_runtime(records).values() for r in here if is_early(r)]
    named = verdict(records).early
    preferred = [r for r in gates if r.name == named] or [r for r in gates if r.operating_point.name == FALLBACK]
    return next(iter([*preferred, *gates]), None)


def classes_table(records: Sequence[Record]) -> Table | None:
    """The classes that most images hold, at most MOST_GROUPS of them, in 100 columns.

    Args:
        records: of one run.

    Returns:
        The table, or None without a gate or with a single class.
    """
    gate = speaker(records)
    if gate is None:
        return None
    names, held = list(gate.ap_per_class), _holders(gate)
    most = sorted(names, key=lambda name: -held[name][0] if name in held else 0)[:MOST_GROUPS]
    few = f", {len(most)} of {len(names)} classes" if len(most) < len(names) else ""
    columns = _columns(records, gate)
    both = len(columns) <= MOST_COLUMNS
    what = f"AP{' / AP50' if both else ''}; exit: of every image at that exit; exits %: of the images with the class"
    headers = [header for header, _, _ in columns] if both else ["baseline", "exits", "gate"]
    rows = []
    for name in (one for one in names if one in most):
        cells = [f"{_ap(ap, name, 2)}/{_ap(ap50, name, 2)}" for _, ap, ap50 in columns]
        if not both:
            first, *exits, last = (_ap(ap, name, 2) for _, ap, _ in columns)
            cells = [first, "/".join(exits), last]
        rows.append(Row((name, *cells, *_leave(held, name))))
    shown = [Column("class", words=True, folds=True)]
    shown += [Column(header, folds=True) for header in (*headers, "images", "exits %")]
    return Table(shown, [Section(rows)], f"Class by class, {_title(gate)}{few}", [what])


def classes_page(records: Sequence[Record]) -> Page | None:
    """Every class, for a page of its own; None without a gate or with a single class."""
    gate = speaker(records)
    if gate is None:
        return None
    columns, held = _columns(records, gate), _holders(gate)
    heads = [f"{header} {metric}" for header, _, _ in columns for metric in ("AP", "AP50")]
    rows = [
        (name, *(_ap(values, name, 3) for _, *both in columns for values in both), *_leave(held, name))
        for name in gate.ap_per_class
    ]
    about = [
        f"{_title(gate)}, {gate.test_images:,} test images, split {gate.split_hash[:12]}",
        "exit: every image at that exit",
        "images: test images that hold the class; exits %: how many of them leave where, through the gate",
    ]
    return Page([simple_table(("class", *heads, "images", "exits %"), rows, notes=about)])


def _title(gate: Record) -> str:
    return f"{short_name(gate)} on {gate.runtime}"


def _columns(records: Sequence[Record], gate: Record) -> list[tuple[str, PerClass, PerClass]]:
    """Header, AP and AP50 by class: of the baseline, of each exit of the gate's detector, and of the gate."""
    baseline = baseline_of(records, gate.runtime)
    columns: list[tuple[str, ExitAccuracy | Record | None]] = [("baseline", baseline)]
    columns += [(f"exit {one.exit + 1}", one) for one in gate.per_exit]
    columns += [("gate", gate)]
    return [(head, one.ap_per_class if one else None, one.ap50_per_class if one else None) for head, one in columns]


def _holders(gate: Record) -> dict[str, tuple[int, Sequence[float]]]:
    """Class -> how many images hold it, and the share of them that each exit answers."""
    return {one.group: (one.images, one.exit_share) for one in gate.exit_profile if one.factor == "class"}


def _leave(held: Mapping[str, tuple[int, Sequence[float]]], name: str) -> tuple[str, str]:
    if name not in held:
        return "-", "-"
    images, shares = held[name]
    return f"{images:,}", percent(shares)


def _ap(values: PerClass, name: str, digits: int) -> str:
    """'-' where it was not measured, or where there is no such object."""
    value = values.get(name) if values else None
    return "-" if value is None else f"{value:.{digits}f}"
