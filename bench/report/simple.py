"""Tables of plain cells, in the terminal and in Markdown: what smaller reports share."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> str:
    """A table in Markdown, and a list of notes below it."""
    lines = ["| " + " | ".join(row) + " |" for row in (headers, ["---"] * len(headers), *rows)]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]) + "\n"


def print_table(
    console: Console,
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    notes: Sequence[str] = (),
    *,
    left: Collection[str] | None = None,
    styles: Sequence[str] | None = None,
) -> None:
    """The same in the terminal. left: the headers of columns of words, the first one when not said; the others hold
    numbers. styles: of the rows."""
    words = headers[:1] if left is None else left
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for header in headers:
        is_words = header in words
        shown.add_column(header, justify="left" if is_words else "right", no_wrap=not is_words)
    for row, style in zip(rows, styles or [""] * len(rows), strict=True):
        shown.add_row(*map(Text, row), style=style)
    console.print(shown)
    for note in notes:
        console.print(Text(note))
