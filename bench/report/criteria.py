"""Which criterion knows the images best: the area under its ROC curve at every inner exit, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from bench.judge.groups import by_runtime
from bench.records import Auroc, Record
from bench.report.page import Column, Row, Section, Table


def criteria_table(records: Sequence[Record]) -> Table | None:
    """How well each criterion knows the images, the best first, one column per inner exit.

    This is a question about images, so the first multi-exit detector on the fastest runtime that has one answers it.

    Args:
        records: of one run.

    Returns:
        The table, or None without such a detector.
    """
    with_exits = [r for here in by_runtime(records).values() for r in here if r.criteria]
    if not with_exits:
        return None
    record = with_exits[0]
    found = by_criterion(record.criteria)
    named = " ".join(filter(None, (record.strategy, record.variant, record.precision, record.runtime)))
    columns = [Column("criterion", words=True)]
    columns += [Column(exit_header(one)) for one in next(iter(found.values()))]
    rows = [Row([name, *map(auroc_cell, ones)]) for name, ones in found.items()]
    title = f"Does the criterion know on which images an exit is as good as the last? AUROC, {named}"
    about = "0.5: no knowledge, 1: all; as good: F1 at IoU 0.5 not below the last exit's"
    return Table(columns, [Section(rows)], title, [about])


def exit_header(one: Auroc) -> str:
    """An exit, and how many images it is good enough for."""
    return f"exit {one.exit + 1} ({100 * one.as_good:.0f} % as good)"


def by_criterion(areas: Sequence[Auroc]) -> dict[str, list[Auroc]]:
    """Criterion -> its areas exit by exit, the criterion that knows most first."""
    found: dict[str, list[Auroc]] = {}
    for one in areas:
        found.setdefault(one.criterion, []).append(one)
    return dict(sorted(found.items(), key=lambda item: -sum(_known(one) for one in item[1])))


def auroc_cell(one: Auroc) -> str:
    """The area with its 95 % interval; '-' where all images are of one kind."""
    if one.value is None:
        return "-"
    return f"{one.value:.3f}" + (f" [{one.interval[0]:.3f}, {one.interval[1]:.3f}]" if one.interval else "")


def _known(one: Auroc) -> float:
    return 0.5 if one.value is None else one.value
