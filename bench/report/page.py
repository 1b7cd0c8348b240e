"""What a report consists of before it has a format.

Headings, lines of text and tables of plain cells, in reading order, and the same as data. `bench.report.formats` writes
a page down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        header: what stands above it.
        words: it holds words, which stand at its left edge; numbers stand at the right.
        folds: a cell may be broken over several lines; otherwise only in a table that fits in no other way.
        spare: where a terminal has no room for all, those with the highest value go first; one with 0 never goes.
    """

    header: str
    words: bool = False
    folds: bool = False
    spare: int = 0


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Args:
        cells: one a column.
        style: of the whole row, in a terminal, in rich's words such as "bold".
    """

    cells: Sequence[str]
    style: str = ""


@dataclass(frozen=True)
class Section:
    """Rows that belong together, under a heading if it has one."""

    rows: Sequence[Row]
    heading: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of plain cells.

    Args:
        columns: from left to right.
        sections: from top to bottom.
        title: what stands above it.
        notes: what its numbers mean, line by line.
        tones: how a terminal shows a cell of exactly this text, for example {"better": "green"}.
    """

    columns: Sequence[Column]
    sections: Sequence[Section]
    title: str = ""
    notes: Sequence[str] = ()
    tones: Mapping[str, str] | None = None

    @property
    def headers(self) -> list[str]:
        """What stands above the columns."""
        return [column.header for column in self.columns]

    @property
    def rows(self) -> list[Row]:
        """All rows from top to bottom."""
        return [row for section in self.sections for row in section.rows]

    @property
    def first_words(self) -> int:
        """Index of the first column of words, under which the sections' headings stand."""
        return next((i for i, column in enumerate(self.columns) if column.words), 0)

    def widths(self) -> list[int]:
        """Characters that each column needs."""
        texts = [self.headers, *(row.cells for row in self.rows)]
        needed = [max(map(len, cells)) for cells in zip(*texts, strict=True)]
        headings = max((len(section.heading) for section in self.sections), default=0)
        needed[self.first_words] = max(needed[self.first_words], headings)
        return needed

    def only(self, indices: Sequence[int]) -> Table:
        """The same with these columns only."""

        def kept(cells: Sequence[T]) -> list[T]:
            return [cells[i] for i in indices]

        sections = [
            replace(section, rows=[replace(row, cells=kept(row.cells)) for row in section.rows])
            for section in self.sections
        ]
        return replace(self, columns=kept(self.columns), sections=sections)

    def fitted(self, room: int, gap: int) -> tuple[Table, list[str]]:
        """What of it fits: all columns that are not spare, and as many of the spare ones as there is room for.

        Args:
            room: characters of a line.
            gap: characters between columns.

        Returns:
            The table, and the headers that are left out.
        """
        widths = self.widths()
        kept: list[int] = []
        for index in sorted(range(len(self.columns)), key=lambda i: self.columns[i].spare):
            needed = sum(widths[i] + gap for i in (*kept, index)) - gap
            if not self.columns[index].spare or needed <= room:
                kept.append(index)
        left_out = [header for i, header in enumerate(self.headers) if i not in kept]
        return self.only(sorted(kept)), left_out


def simple_table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    words: Iterable[str] | None = None,
    title: str = "",
    notes: Sequence[str] = (),
    styles: Sequence[str] | None = None,
) -> Table:
    """A table of one section.

    Args:
        headers: of the columns.
        rows: their cells.
        words: headers of the columns that hold words and may fold; the first one when not said.
        title: as in `Table`.
        notes: as in `Table`.
        styles: of the rows, as many as there are.

    Returns:
        The table.
    """
    rows = list(rows)
    left = set(headers[:1] if words is None else words)
    columns = [Column(header, words=header in left, folds=header in left) for header in headers]
    styled = [Row(cells, style) for cells, style in zip(rows, styles or [""] * len(rows), strict=True)]
    return Table(columns, [Section(styled)], title, notes)


@dataclass(frozen=True)
class Line:
    """A line of text.

    Args:
        text: what it says.
        style: of it in a terminal, in rich's words such as "bold red".
        whole: never broken, as a command to copy must not be.
    """

    text: str
    style: str = ""
    whole: bool = False


@dataclass(frozen=True)
class Lines:
    """Lines of text.

    Args:
        lines: from top to bottom.
        listed: every line is a point of a list.
    """

    lines: Sequence[Line]
    listed: bool = True


@dataclass(frozen=True)
class Heading:
    """A heading, and what a terminal adds to it."""

    text: str
    detail: str = ""


Block = Heading | Lines | Table


@dataclass(frozen=True)
class Page:
    """A report.

    Args:
        blocks: what it says, in reading order.
        tree: makes everything it is about, for JSON; the cells of its tables when not given.
        records: makes one flat mapping per thing it is about, for CSV; the rows of its first table when not given.
    """

    blocks: Sequence[Block]
    tree: Callable[[], Any] | None = None
    records: Callable[[], Sequence[Mapping[str, Any]]] | None = None

    @property
    def tables(self) -> list[Table]:
        """Its tables in reading order."""
        return [block for block in self.blocks if isinstance(block, Table)]


def lines(texts: Iterable[str], style: str = "", *, listed: bool = True) -> Lines:
    """Lines of one style, without the empty ones."""
    return Lines([Line(text, style) for text in texts if text], listed)
