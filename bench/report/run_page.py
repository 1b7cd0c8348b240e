"""A run as a page: its records as a table, what to know about them, and the verdict.

The full page has every other table there is as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from bench.judge.groups import by_runtime, over_eager
from bench.judge.verdict import Verdict, verdict
from bench.records import Record
from bench.report.batches_table import batches_table
from bench.report.classes import classes_table
from bench.report.criteria import criteria_table
from bench.report.exit_profile import exit_profile_table
from bench.report.exits_table import exits_table
from bench.report.notes import alarms, behind, notes
from bench.report.page import Line, Lines, Page, Table, lines
from bench.report.records_table import caption, narrow_table, wide_table
from bench.report.selection import select_rows

STYLES = {"WORTH IT": "bold green", "NOT WORTH IT": "bold red", "UNDECIDED": "bold yellow", None: "bold"}


def run_page(records: Sequence[Record]) -> Page:
    """The table of all records, what to know about it, and the verdict.

    As data: every key and every raw sample of the records for JSON; for CSV one row per record, nested scalars under
    dotted names, which are those of the record files, and `vs_eager` where eager PyTorch is one of several runtimes.

    Args:
        records: of one run.

    Returns:
        The page.

    Raises:
        UserError: the records were measured on different test splits.
    """
    said = [*lines(caption(records), "dim").lines, *_alarms(records), *lines(notes(records)).lines]
    return Page([wide_table(records), Lines(said), verdict_lines(records)], *_data(records))


def full_page(records: Sequence[Record]) -> Page:
    """Every table there is, alarms and notes, and the verdict.

    Args:
        records: of one run.

    Returns:
        The page.

    Raises:
        UserError: the records were measured on different test splits.
    """
    more = (exits_table, classes_table, batches_table, criteria_table, exit_profile_table)
    tables: list[Table | None] = [narrow_table(records), *(table(records) for table in more)]
    said = [*_alarms(records), *lines(notes(records)).lines]
    below = [Lines(said)] * bool(said) + [verdict_lines(records)]
    return Page([*filter(None, tables), *below], *_data(records))


def short_page(records: Sequence[Record]) -> Page:
    """The rows of the fastest runtime that are worth reading (`bench.report.selection`), and what the columns mean."""
    here = next(iter(by_runtime(records).values()))
    shown = select_rows(here, lambda r: r.latency_ms.mean)
    table = wide_table(records, [r for r in here if r.name in shown])
    return Page([replace(table, notes=caption(records))])


def verdict_lines(records: Sequence[Record]) -> Lines:
    """The verdict, the speed at equal mAP, and what stands behind the gate that it speaks of."""
    found = verdict(records)
    more = lines((found.at_equal_map, behind(found, records))).lines
    return Lines([Line(found.sentence, verdict_style(found, records)), *more], listed=False)


def verdict_style(found: Verdict, records: Sequence[Record]) -> str:
    """How a terminal shows the verdict's sentence: in the colour of its word, unless nothing can be trusted."""
    return "bold" if any(r.forced for r in records) else STYLES[found.decision]


def _alarms(records: Sequence[Record]) -> Sequence[Line]:
    return lines(alarms(records), "bold red").lines


def _data(records: Sequence[Record]) -> tuple[Callable[[], Any], Callable[[], list[dict[str, Any]]]]:
    """What a page's `tree` and `records` are made by."""
    return (
        lambda: [r.model_dump(mode="json") for r in records],
        lambda: [_row(record, records) for record in records],
    )


def _row(record: Record, records: Sequence[Record]) -> dict[str, Any]:
    eager = over_eager(record, records)
    return _scalars(record.model_dump(mode="json")) | ({"vs_eager": eager} if eager else {})


def _scalars(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= _scalars(value, f"{prefix}{key}.")
        elif not isinstance(value, list):
            found[prefix + key] = value
    return found
