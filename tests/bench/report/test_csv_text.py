"""Rows come back from the text as they went in, one column per value."""

import csv
import io

from bench.report.csv_text import csv_text, flat


def test_nested_values_have_columns_of_their_own_and_what_is_missing_is_empty():
    rows = [{"name": "a, b", "at": {"low": 0.1, "high": None}}, {"name": "c", "share": (0.25, 0.75)}]
    text = csv_text([flat(row) for row in rows])
    assert list(csv.DictReader(io.StringIO(text))) == [
        {"name": "a, b", "at.low": "0.1", "share.1": "", "share.2": ""},
        {"name": "c", "at.low": "", "share.1": "0.25", "share.2": "0.75"},
    ]


def test_a_tuple_of_dicts_is_numbered():
    assert flat({"exits": ({"ms": 1}, {"ms": 2})}) == {"exits.1.ms": 1, "exits.2.ms": 2}
