"""A table knows how wide it is, and which columns to leave out where there is no room."""

import pytest

from bench.report.page import Column, Line, Page, Row, Section, Table, lines, simple_table

COLUMNS = (Column("n"), Column("name", words=True), Column("low", spare=1), Column("high", spare=2))
TABLE = Table(
    COLUMNS, [Section([Row(("1", "abc", "0.25", "0.75"))], "a heading"), Section([Row(("12", "", "-", "-"))])]
)


def test_columns_are_as_wide_as_their_widest_text():
    assert TABLE.widths() == [2, len("a heading"), 4, 4]


@pytest.mark.parametrize(
    ("room", "left_out"),
    [(2 + 9 + 4 + 4 + 3, []), (2 + 9 + 4 + 4 + 2, ["high"]), (2 + 9 + 4 + 1, ["low", "high"]), (3, ["low", "high"])],
)
def test_spare_columns_go_first_and_only_as_many_as_have_to(room, left_out):
    shown, found = TABLE.fitted(room, gap=1)
    assert found == left_out
    assert shown.headers == [header for header in TABLE.headers if header not in left_out]
    assert shown.rows[0].cells == ["1", "abc", "0.25", "0.75"][: len(shown.headers)]
    assert [section.heading for section in shown.sections] == ["a heading", ""]


def test_a_simple_table_has_its_words_at_the_left():
    table = simple_table(
        ("what", "mAP", "outcome"), [("a", "0.1", "caught")], words=("what", "outcome"), styles=["bold"]
    )
    assert [column.words for column in table.columns] == [True, False, True]
    assert table.rows == [Row(("a", "0.1", "caught"), "bold")]
    assert [column.words for column in simple_table(("what", "mAP"), []).columns] == [True, False]


def test_rows_and_styles_are_as_many():
    with pytest.raises(ValueError, match="shorter"):
        simple_table(("a",), [("1",), ("2",)], styles=["bold"])


def test_empty_lines_are_left_out():
    assert lines(("a", "", "b"), "dim").lines == [Line("a", "dim"), Line("b", "dim")]


def test_a_page_knows_its_tables():
    assert Page([lines(["a"]), TABLE, TABLE]).tables == [TABLE, TABLE]


def test_a_narrow_spare_column_stays_where_a_wide_one_does_not():
    columns = (Column("name", words=True), Column("interval", spare=1), Column("n", spare=2))
    table = Table(columns, [Section([Row(("abcd", "12345678", "1"))])])
    shown, left_out = table.fitted(4 + 1 + 1, gap=1)
    assert (shown.headers, left_out) == (["name", "n"], ["interval"])
