"""Rows of numbers as CSV, for spreadsheets: nested values become columns of their own."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """A header with every key that any row has, in the order of their first row, then the rows; what a row lacks is
    empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, dict.fromkeys(key for row in rows for key in row), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values under dotted names, parts of tuples under numbers from 1; what is None has no key."""
    cells: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, tuple):
            value = dict(enumerate(value, 1))
        if isinstance(value, dict):
            cells |= {f"{key}.{part}": inner for part, inner in flat(value).items()}
        elif value is not None:
            cells[str(key)] = value
    return cells
