"""A table of plain cells says the same in the terminal and in Markdown."""

from io import StringIO

import pytest
from rich.console import Console

from bench.report.simple import markdown_table, print_table

HEADERS, ROWS, NOTES = (
    ("what", "mAP", "outcome"),
    [["a [b]", "0.250", "caught"], ["c", "0.300", "passes"]],
    ["5 % of it"],
)


def printed(**options) -> list[str]:
    out = StringIO()
    print_table(Console(file=out, width=80), HEADERS, ROWS, NOTES, **options)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_markdown_is_a_table_and_a_list():
    assert markdown_table(HEADERS, ROWS, NOTES).splitlines() == [
        "| what | mAP | outcome |",
        "| --- | --- | --- |",
        "| a [b] | 0.250 | caught |",
        "| c | 0.300 | passes |",
        "",
        "- 5 % of it",
    ]


@pytest.mark.parametrize("styles", [None, ["", "bold red"]])
def test_the_terminal_shows_every_cell_as_it_is(styles):
    lines = printed(styles=styles)
    for row in (HEADERS, *ROWS):
        assert any(line.split() == " ".join(row).split() for line in lines)
    assert lines[-1] == NOTES[0]


def test_words_stand_left_and_numbers_right():
    """The column of outcomes: at its right edge unless it is said to hold words."""
    numbers = next(line for line in printed() if "caught" in line)
    words = next(line for line in printed(left=("what", "outcome")) if "caught" in line)
    assert numbers.index("caught") == words.index("caught") + len("outcome") - len("caught")
