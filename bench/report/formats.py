"""The formats that a page can be written in.

A new one is a function from a page to text and a line in FORMATS, or an entry point of the group `exitbench.formats` in
any package.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from bench.report.page import Heading, Line, Lines, Page, Table
from models.registry import Registry

WIDTH = 100  # characters of a line where nothing says how wide the terminal is


def terminal(page: Page, console: Console | None = None) -> str:
    """For reading, as wide as the terminal is, or WIDTH where there is none.

    Args:
        page: what to write.
        console: whose width and colours to use; that of stdout when not given.

    Returns:
        Text that ends in a line break, with colours where the console has them.
    """
    console = console or Console(width=None if sys.stdout.isatty() else WIDTH)
    with console.capture() as captured:
        for number, block in enumerate(page.blocks):
            if number:
                console.print()
            _print_block(block, console)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _print_block(block: Heading | Lines | Table, console: Console) -> None:
    match block:
        case Heading(text, detail):
            _print_line(Line(f"{text}: {detail}" if detail else text, "bold"), console)
        case Lines(lines, listed):
            for line in lines:
                _print_line(line, console, listed)
        case Table():
            _print_table(block, console)


def _print_line(line: Line, console: Console, listed: bool = False) -> None:
    """Wrapped between words only: names have hyphens, and paths are longer than a line."""
    first, then = ("- ", "  ") if listed else ("", "")
    wrapper = textwrap.TextWrapper(
        console.width,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for text in [line.text] if line.whole else wrapper.wrap(line.text):
        console.print(Text(text, style=line.style), soft_wrap=True)


def _print_table(table: Table, console: Console) -> None:
    shown, left_out = table.fitted(console.width, gap=1)
    between = (console.width - sum(shown.widths())) // max(1, len(shown.columns) - 1)
    gap, tight = min(2, max(1, between)), between < 1
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, gap - 1, 0, 0), pad_edge=False, show_edge=False)
    for column in shown.columns:
        folds = column.folds or (tight and column.words)
        side: Literal["left", "right"] = "left" if column.words else "right"
        drawn.add_column(column.header, justify=side, no_wrap=not folds, overflow="fold")
    tones = shown.tones or {}
    for section in shown.sections:
        if section is not shown.sections[0]:
            drawn.add_section()
        if section.heading:
            drawn.add_row(*[""] * shown.first_words, Text(section.heading, style="bold underline"))
        for row in section.rows:
            drawn.add_row(*(Text(cell, style=tones.get(cell, "")) for cell in row.cells), style=row.style)
    if table.title:
        _print_line(Line(table.title, "bold"), console)
    console.print(drawn)
    for note in table.notes:
        _print_line(Line(note, "dim"), console, listed=True)
    if left_out:
        _print_line(Line(f"no room here for: {', '.join(left_out)}", "dim"), console, listed=True)


def markdown(page: Page) -> str:
    """Headings, lists and tables for a page on the web."""
    return "\n\n".join(map(_markdown_block, page.blocks)) + "\n"


def _markdown_block(block: Heading | Lines | Table) -> str:
    match block:
        case Heading(text):
            return f"## {text}"
        case Lines(lines, listed):
            return "\n".join("- " * listed + line.text for line in lines)
    parts = [f"**{block.title}**"] * bool(block.title) + [_piped(block)]
    return "\n\n".join(parts + ["\n".join(f"- {note}" for note in block.notes)] * bool(block.notes))


def _piped(table: Table) -> str:
    rows: list[Sequence[str]] = [table.headers, ["---"] * len(table.columns)]
    for section in table.sections:
        if section.heading:
            heading = [""] * len(table.columns)
            heading[table.first_words] = f"**{section.heading}**"
            rows.append(heading)
        rows += [[cell.replace("|", "\\|") for cell in row.cells] for row in section.rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def csv_text(page: Page) -> str:
    """For spreadsheets: a header, then a row per thing that the page is about.

    Args:
        page: what to write.

    Returns:
        CSV. The header has every key that any row has, in the order in which they first come; what a row lacks is
        empty.
    """
    if page.records:
        rows = page.records()
    else:
        rows = [dict(zip(page.tables[0].headers, row.cells, strict=True)) for row in page.tables[0].rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, dict.fromkeys(key for row in rows for key in row), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def json_text(page: Page) -> str:
    """For programs: everything that the page is about."""
    if page.tree:
        tree = page.tree()
    else:
        tree = [
            {"title": table.title, "rows": [dict(zip(table.headers, row.cells, strict=True)) for row in table.rows]}
            for table in page.tables
        ]
    return json.dumps(tree, indent=1) + "\n"


def latex(page: Page) -> str:
    """For papers: the tables in the manner of the package booktabs; what is said about them stands in comments."""
    return "\n\n".join(map(_latex_block, page.blocks)) + "\n"


def _latex_block(block: Heading | Lines | Table) -> str:
    match block:
        case Heading(text):
            return f"% {text}"
        case Lines(lines):
            return "\n".join(f"% {line.text}" for line in lines)
    rows = [_latex_row(block.headers), r"\midrule"]
    for section in block.sections:
        if section is not block.sections[0]:
            rows.append(r"\midrule")
        if section.heading:
            rows.append(rf"\multicolumn{{{len(block.columns)}}}{{l}}{{\emph{{{escaped(section.heading)}}}}} \\")
        rows += [_latex_row(row.cells) for row in section.rows]
    aligned = "".join("l" if column.words else "r" for column in block.columns)
    tabular = [rf"\begin{{tabular}}{{{aligned}}}", r"\toprule", *rows, r"\bottomrule", r"\end{tabular}"]
    caption = [rf"\caption{{{escaped(block.title)}}}"] * bool(block.title)
    notes = [f"% {note}" for note in block.notes]
    return "\n".join([*notes, r"\begin{table}", r"\centering", *caption, *tabular, r"\end{table}"])


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(escaped, cells)) + r" \\"


LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "[": "{[}",  # after the end of a row it would be an option
    **{special: rf"\{special}" for special in "&%$#_{}"},
}


def escaped(text: str) -> str:
    """Text as LaTeX sets it."""
    return "".join(LATEX.get(character, character) for character in text)


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A nested mapping as one row of CSV.

    Args:
        row: values may be mappings and tuples.

    Returns:
        Nested values under dotted names, parts of tuples under numbers from 1; what is None has no key.
    """
    cells: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, tuple):
            value = dict(enumerate(value, 1))
        if isinstance(value, dict):
            cells |= {f"{key}.{part}": inner for part, inner in flat(value).items()}
        elif value is not None:
            cells[str(key)] = value
    return cells


FORMATS: Registry[Callable[[Page], str]] = Registry(
    "format",
    "exitbench.formats",
    "--format",
    {
        "table": (terminal, "for reading in the terminal"),
        "markdown": (markdown, "for pages"),
        "csv": (csv_text, "for spreadsheets"),
        "latex": (latex, "for papers, with the package booktabs"),
        "json": (json_text, "for programs: everything"),
    },
)


def formatted(page: Page, name: str) -> str:
    """A page as text.

    Args:
        page: what to write.
        name: of one of FORMATS.

    Returns:
        The text.

    Raises:
        UserError: there is no such format.
    """
    return FORMATS.get(name)(page)
