"""Every format says the same cells; what is special to a format is escaped, and read back as it was."""

import csv
import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.formats import FORMATS, escaped, flat, formatted, latex, terminal
from bench.report.page import Column, Heading, Line, Lines, Page, Row, Section, Table
from models.errors import UserError
from tests.support.printed import console, printed

COLUMNS = (Column("F %"), Column("name", words=True), Column("mAP [95 %]"), Column("is", words=True))
ROWS = (("100", "a [b]_c", "0.250 [0.1, 0.3]", "better"), ("0", "d&e", "0.300 ±0.01", "worse"))
TABLE = Table(
    COLUMNS, [Section([Row(ROWS[0])], "openvino"), Section([Row(ROWS[1], "bold")], "eager")], "A title", ["5 % of it"]
)
PAGE = Page([Heading("detector", "more of it"), TABLE, Lines([Line("a note", "dim"), Line("ALARM", "bold red")])])


def test_a_bar_in_a_cell_ends_no_cell_of_markdown():
    table = Table(COLUMNS[:2], [Section([Row(("1", "a|b"))])])
    assert formatted(Page([table]), "markdown").splitlines()[-1] == r"| 1 | a\|b |"


def test_markdown_is_headings_tables_and_lists():
    assert formatted(PAGE, "markdown").splitlines() == [
        "## detector",
        "",
        "**A title**",
        "",
        "| F % | name | mAP [95 %] | is |",
        "| --- | --- | --- | --- |",
        "|  | **openvino** |  |  |",
        "| 100 | a [b]_c | 0.250 [0.1, 0.3] | better |",
        "|  | **eager** |  |  |",
        "| 0 | d&e | 0.300 ±0.01 | worse |",
        "",
        "- 5 % of it",
        "",
        "- a note",
        "- ALARM",
    ]


def test_the_terminal_shows_every_cell_as_it_is():
    lines = printed(PAGE)
    assert lines[0] == "detector: more of it"
    for row in (TABLE.headers, *ROWS):
        assert any(line.split() == " ".join(row).split() for line in lines)
    assert [line.strip() for line in lines if line.strip() in ("openvino", "eager")] == ["openvino", "eager"]
    assert lines[-2:] == ["- a note", "- ALARM"]


def test_words_stand_left_and_numbers_right():
    lines = printed(TABLE)
    first, second = (next(line for line in lines if row[3] in line) for row in ROWS)
    assert first.index("better") == second.index("worse")
    assert first.index("100") + 2 == second.index("0 ")
    assert first.index("0.3]") + 4 == second.index("±0.01") + 5


def test_lines_wrap_between_words_only():
    name = "early_exit+quant-b8-12-int8-tol1"
    path = "results/" + "very/" * 30 + "long"
    lines = printed(Lines([Line(f"at 3.09 ms {name} is above {name} and see {path}")]), width=40)
    assert lines[0].startswith("- at")
    assert all(line.startswith("  ") for line in lines[1:])
    assert sum(name in line for line in lines) == 2
    assert any(path in line for line in lines)


def test_a_command_is_never_broken():
    command = "bench report " + "a/very/" * 20 + "long --all"
    assert printed(Lines([Line(command, whole=True)], listed=False), width=40) == [command]


def test_colours_are_for_terminals_that_have_them():
    import rich.console

    coloured = rich.console.Console(file=io.StringIO(), width=100, force_terminal=True, color_system="standard")
    page = Page([Table(COLUMNS, TABLE.sections, tones={"better": "green"}), Lines([Line("ALARM", "bold red")])])
    assert "\x1b[32mbetter" in terminal(page, coloured)
    assert "\x1b[1;31m" in terminal(page, coloured)
    assert "\x1b" not in terminal(page, console())


def test_csv_and_json_are_of_what_the_page_is_about():
    page = Page([TABLE], lambda: {"all": [1, 2]}, lambda: [{"name": "a, b", "at.low": 0.1}, {"name": "c", "more": 2}])
    assert json.loads(formatted(page, "json")) == {"all": [1, 2]}
    rows = list(csv.DictReader(io.StringIO(formatted(page, "csv"))))
    assert rows == [{"name": "a, b", "at.low": "0.1", "more": ""}, {"name": "c", "at.low": "", "more": "2"}]


def test_a_page_of_nothing_but_tables_has_their_cells_as_data():
    rows = [dict(zip(TABLE.headers, row, strict=True)) for row in ROWS]
    assert list(csv.DictReader(io.StringIO(formatted(PAGE, "csv")))) == rows
    assert json.loads(formatted(PAGE, "json")) == [{"title": "A title", "rows": rows}]


def test_nested_values_have_columns_of_their_own_and_what_is_missing_has_none():
    assert flat({"name": "a", "at": {"low": 0.1, "high": None}}) == {"name": "a", "at.low": 0.1}
    assert flat({"exits": ({"ms": 1}, {"ms": 2}), "share": (0.25,)}) == {
        "exits.1.ms": 1,
        "exits.2.ms": 2,
        "share.1": 0.25,
    }


def test_latex_is_a_booktabs_table():
    text = latex(PAGE)
    assert text.startswith("% detector\n")
    body = text[text.index(r"\begin{tabular}{rlrl}") : text.index(r"\end{tabular}")]
    rules = [line for line in body.splitlines() if line.endswith("rule")]
    assert rules == [r"\toprule", r"\midrule", r"\midrule", r"\bottomrule"]
    rows = [line.removesuffix(r" \\").split(" & ") for line in body.splitlines() if line.endswith(r"\\")]
    assert [list(map(unescaped, row)) for row in rows if len(row) == 4] == [TABLE.headers, *map(list, ROWS)]
    assert r"\multicolumn{4}{l}{\emph{openvino}} \\" in body
    assert r"\caption{A title}" in text
    assert "% 5 % of it" in text
    assert text.endswith("% a note\n% ALARM\n")


WORDS = {"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textless": "<", "textgreater": ">"}


def unescaped(text: str) -> str:
    """What LaTeX sets for it, by LaTeX's rules: commands, escaped specials, braces that group."""

    def read(match: re.Match) -> str:
        if match["word"]:
            return WORDS[match["word"]]
        return match["special"] or match["grouped"] or "±"

    return re.sub(r"\\(?P<word>[a-z]+)\{\}|\\(?P<special>[&%$#_{}])|\{(?P<grouped>\[)\}|\$\\pm\$", read, text)


@given(st.text(st.sampled_from("aZ 09\\~^<>±[]&%$#_{}-+./")))
def test_no_special_character_of_latex_is_left(text):
    assert unescaped(escaped(text)) == text
    bare = re.sub(r"\\[a-z]+\{\}|\\[&%$#_{}]|\{\[\}|\$\\pm\$", "", escaped(text))
    assert not set(bare) & set("\\~^<>±[&%$#_{}")


def test_a_new_format_is_a_function_and_a_line():
    assert list(FORMATS)[:5] == ["table", "markdown", "csv", "latex", "json"]
    with pytest.raises(UserError, match=r"--format: unknown format 'markdwn' \(did you mean 'markdown'\?"):
        formatted(PAGE, "markdwn")
    with pytest.raises(UserError, match="known: table, markdown, csv, latex, json"):
        formatted(PAGE, "xlsx")
