"""Budgets as people write them, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.exits.budget import Budget, parse
from models.errors import UserError


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("3ms", Budget("3ms", "latency", 3.0)),
        (" 2.5 MS ", Budget("2.5MS", "latency", 2.5)),
        (".5ms", Budget(".5ms", "latency", 0.5)),
        ("250MFLOPs", Budget("250MFLOPs", "flops", 250e6)),
        ("1.5gflops", Budget("1.5gflops", "flops", 1.5e9)),
        ("3\t ms", Budget("3ms", "latency", 3.0)),
    ],
)
def test_what_is_a_budget(text, budget):
    assert parse(text) == budget


@pytest.mark.parametrize(
    "text",
    ["", "3", "ms", "3 s", "0ms", "0.0 GFLOPs", "-3ms", "3,5ms", "1e3ms", "3msms", "3ms 4ms", "infms", "nanms"],
)
def test_what_is_none(text):
    with pytest.raises(UserError, match=r"is no budget.*3ms, 250MFLOPs or 1\.5GFLOPs"):
        parse(text)


@given(st.floats(0.001, 1e6))
def test_any_positive_number_is_read_as_it_stands(value):
    assert parse(f"{value:.6f}ms").most == float(f"{value:.6f}")
