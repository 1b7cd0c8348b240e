"""A run's records for other programs and for papers: JSON with everything, CSV with the scalars, and the
terminal's table as Markdown, with the intervals of the speeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bench.judge.groups import by_runtime, over_eager
from bench.judge.verdict import verdict
from bench.records import Record, same_split
from bench.report.csv_text import csv_text
from bench.report.notes import alarms, behind, notes
from bench.report.table import caption, columns
from bench.report.telling import telling
from models.errors import unknown


def export(records: Sequence[Record], fmt: str) -> str:
    """The records as 'json', 'csv' or 'markdown' text. JSON holds every key and every raw sample. CSV has one
    row per record, nested scalars under dotted names, and `vs_eager` where eager PyTorch is one of several runtimes;
    its names are those of the record files. Raises UserError for another format, or when the test
    splits differ."""
    same_split(records)
    formats = {"json": _json, "csv": _csv, "markdown": markdown}
    if fmt not in formats:
        raise unknown("format", fmt, formats, where="--format")
    return formats[fmt](records)


def _json(records: Sequence[Record]) -> str:
    return json.dumps([r.model_dump(mode="json") for r in records], indent=1) + "\n"


def _csv(records: Sequence[Record]) -> str:
    rows = [_scalars(r.model_dump(mode="json")) for r in records]
    for row, record in zip(rows, records, strict=True):
        if eager := over_eager(record, records):
            row["vs_eager"] = eager
    return csv_text(rows)


def _scalars(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= _scalars(value, f"{prefix}{key}.")
        elif not isinstance(value, list):
            found[prefix + key] = value
    return found


def markdown(records: Sequence[Record]) -> str:
    """The table, what to know about it, and the verdict."""
    cells, sections = columns(records, wide=True), by_runtime(records)
    rows = [list(cells), ["---"] * len(cells)]
    for runtime, here in sections.items():
        if len(sections) > 1:
            rows.append(["", f"**{runtime}**", *[""] * (len(cells) - 2)])
        rows += [[cell(r) for cell in cells.values()] for r in here]
    found = verdict(records)
    below = [f"- {line}" for line in (*caption(records), *alarms(records), *notes(records))]
    end = [found.sentence, found.at_equal_map, behind(found, records)]
    return "\n".join([*_piped(rows), "", *below, "", *filter(None, end)]) + "\n"


def short_markdown(records: Sequence[Record]) -> str:
    """The rows of the fastest runtime that are worth reading (`bench.report.telling`), and what the columns mean."""
    cells, here = columns(records, wide=True), next(iter(by_runtime(records).values()))
    named = telling(here, lambda r: r.latency_ms.mean)
    rows = [[cell(r) for cell in cells.values()] for r in here if r.name in named]
    lines = _piped([list(cells), ["---"] * len(cells), *rows])
    return "\n".join([*lines, "", *(f"- {line}" for line in caption(records))]) + "\n"


def _piped(rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in rows]
