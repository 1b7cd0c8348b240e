"""What was read, as a page: the three splits, how large images and boxes are, every class, and what was changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bench.data.split import ROLES, Dataset, Reading, Role
from bench.data.summary import SIZES, Counts, counts
from bench.report.formats import flat
from bench.report.labels import printable
from bench.report.page import Block, Column, Heading, Page, Row, Section, Table, lines

Found = Mapping[Role, Counts]


def data_page(data: Dataset, most_classes: int | None = None) -> Page:
    """Describe data before anything is trained on them.

    As data: all counts, the notes and how it was read for JSON; a row per split for CSV, with `boxes.NAME` per class.

    Args:
        data: what was read.
        most_classes: rows that the table of classes may have, the most frequent; None: all.

    Returns:
        The page.
    """
    found: Found = {split.role: counts(split) for split in data.splits}
    read = data.reading.layout if data.reading else "generated"
    head = Heading(printable(data.name), printable(read))
    notes = [f"{printable(what)}: {count:,}" for what, count in data.reading.notes.items()] if data.reading else []
    blocks: list[Block] = [head, _splits(data, found), _sizes(found), _classes(found, most_classes)]
    return Page(
        [*blocks, *[lines(notes)] * bool(notes)],
        tree=lambda: _tree(data, found),
        records=lambda: [_record(data, role, one) for role, one in found.items()],
    )


def _splits(data: Dataset, found: Found) -> Table:
    names = ("images", "boxes", "classes", "no box", "ignore regions", "boxes an image")
    columns = [Column("split", words=True), *map(Column, names), Column("how", words=True, folds=True)]
    rows = []
    for role, one in found.items():
        boxes, classes = sum(one.boxes.values()), sum(map(bool, one.boxes.values()))
        numbers = [f"{number:,}" for number in (one.images, boxes, classes, one.empty, one.crowds)]
        rows.append(Row((role, *numbers, f"{boxes / one.images:.1f}", dealt(data.reading, role))))
    return Table(columns, [Section(rows)], "Splits")


def dealt(reading: Reading | None, role: Role) -> str:
    """How the images of a split were chosen, in words.

    Args:
        reading: of the data.
        role: of the split.
    """
    if reading is None:
        return "generated"
    how = reading.split
    if how is None or ROLES.index(role) >= len(how["shares"]):
        return "as it is there"
    share = how["shares"][ROLES.index(role)]
    return f"{100 * share:g} % dealt by {printable(how['by'])}, seed {how['seed']}"


def _sizes(found: Found) -> Table:
    names = ("smallest image", "median image", "largest image", *(f"{size} boxes, %" for size in SIZES))
    rows = []
    for role, one in found.items():
        pixels = [f"{width} x {height}" for width, height in one.pixels]
        boxes = sum(one.sizes.values())
        rows.append(Row((role, *pixels, *(f"{100 * n / boxes:.1f}" if boxes else "-" for n in one.sizes.values()))))
    notes = ["px, as the images are stored; small, medium, large: areas below 32 x 32, below 96 x 96, and others"]
    return Table([Column("split", words=True), *map(Column, names)], [Section(rows)], "Sizes", notes)


def _classes(found: Found, most: int | None) -> Table:
    """Boxes by class, the most frequent first."""
    each = {name: [one.boxes[name] for one in found.values()] for name in found["train"].boxes}
    names = sorted(each, key=lambda name: -sum(each[name]))
    shown = names[:most]
    left = names[len(shown) :]
    few = [f"and {len(left):,} more with {sum(each[left[0]]):,} boxes or fewer"] if left else []
    columns = [Column("class", words=True, folds=True), *(Column(role) for role in (*found, "all"))]
    rows = [Row((printable(name), *(f"{n:,}" for n in (*each[name], sum(each[name]))))) for name in shown]
    return Table(columns, [Section(rows)], "Boxes by class", few, {"0": "yellow"})


def _row(one: Counts) -> dict[str, Any]:
    """What is known of a split, under names for programs."""
    named = dict(zip(("smallest", "median", "largest"), one.pixels, strict=True))
    pixels = {name: {"width": width, "height": height} for name, (width, height) in named.items()}
    return {
        "images": one.images,
        "without_box": one.empty,
        "ignore_regions": one.crowds,
        "box_sizes": one.sizes,
        "image_sizes": pixels,
        "boxes": one.boxes,
    }


def _record(data: Dataset, role: Role, one: Counts) -> dict[str, Any]:
    """A row for CSV, which a terminal may show: its header has the names of classes."""
    boxes = {printable(name): count for name, count in one.boxes.items()}
    return flat({"split": role, **_row(one), "boxes": boxes, "how": dealt(data.reading, role)})


def _tree(data: Dataset, found: Found) -> dict[str, Any]:
    reading = data.reading and {**asdict(data.reading), "notes": dict(data.reading.notes)}
    splits = {role: _row(one) for role, one in found.items()}
    return {"name": data.name, "classes": list(data.classes), "reading": reading, "splits": splits}
