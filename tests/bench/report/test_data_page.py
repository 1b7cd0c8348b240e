"""The page of what was read holds the counts, all classes, and what was changed, in every format."""

import csv
import io
import json

import numpy as np
import pytest

from bench.data.split import ROLES, Reading
from bench.report.data_page import data_page, dealt
from bench.report.formats import FORMATS, formatted
from tests.support.boxed import boxed, scattered
from tests.support.printed import printed

CLASSES = tuple("abcde")
DEALT = {"shares": [0.9, 0.1], "by": "folder", "seed": 4}
READING = Reading("YOLO", {"boxes clipped to the image": 1200, "images turned as EXIF asks": 3}, DEALT)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    return boxed([scattered(images, len(CLASSES), rng) for images in (60, 20, 30)], CLASSES, reading=READING)


def annotations(split) -> list[dict]:
    """The boxes of a split, without ignore regions."""
    return [one for one in split.coco()["annotations"] if not one["iscrowd"]]


def test_a_row_for_each_split(data):
    splits, sizes, _ = data_page(data).tables
    for split, row, other in zip(data.splits, splits.rows, sizes.rows, strict=True):
        found, truth = annotations(split), split.coco()
        images, boxes, classes, empty, regions, mean = row.cells[1:7]
        assert (row.cells[0], other.cells[0]) == (split.role, split.role)
        assert (int(images), int(boxes)) == (len(split), len(found))
        assert int(classes) == len({one["category_id"] for one in found})
        assert int(empty) == len(split) - len({one["image_id"] for one in truth["annotations"]})
        assert int(regions) == len(truth["annotations"]) - len(found)
        assert float(mean) == pytest.approx(len(found) / len(split), abs=0.05)
        areas = np.array([one["area"] for one in found])
        shares = [np.mean(areas < 1024), np.mean((areas >= 1024) & (areas < 9216)), np.mean(areas >= 9216)]
        assert list(map(float, other.cells[4:])) == pytest.approx([100 * share for share in shares], abs=0.05)


def test_how_a_split_came_about():
    assert [dealt(READING, role) for role in ROLES] == [
        "90 % dealt by folder, seed 4",
        "10 % dealt by folder, seed 4",
        "as it is there",
    ]
    assert dealt(Reading("YOLO", {}), "test") == "as it is there"
    assert dealt(None, "train") == "generated"


def test_every_class_the_most_frequent_first(data):
    rows = data_page(data).tables[2].rows
    numbers = {row.cells[0]: list(map(int, row.cells[1:])) for row in rows}
    for label, name in enumerate(CLASSES, 1):
        each = [sum(one["category_id"] == label for one in annotations(split)) for split in data.splits]
        assert numbers[name] == [*each, sum(each)]
    totals = [row[-1] for row in numbers.values()]
    assert totals == sorted(totals, reverse=True)


def test_classes_that_are_left_out_are_counted(data):
    full, cut = data_page(data).tables[2], data_page(data, most_classes=2).tables[2]
    assert [row.cells for row in cut.rows] == [row.cells for row in full.rows[:2]]
    assert list(cut.notes) == [f"and 3 more with {full.rows[2].cells[-1]} boxes or fewer"]
    assert not data_page(data, most_classes=5).tables[2].notes


def test_a_terminal_shows_it_in_100_columns(data):
    lines = printed(data_page(data))
    assert max(map(len, lines)) <= 100
    assert lines[0] == "planted: YOLO"
    assert lines[-2:] == ["- boxes clipped to the image: 1,200", "- images turned as EXIF asks: 3"]


def test_programs_get_every_count(data):
    tree = json.loads(formatted(data_page(data), "json"))
    assert (tree["name"], tree["classes"], tree["reading"]["split"]) == ("planted", list(CLASSES), DEALT)
    rows = list(csv.DictReader(io.StringIO(formatted(data_page(data), "csv"))))
    assert [row["split"] for row in rows] == list(ROLES)
    for split, row in zip(data.splits, rows, strict=True):
        each = [sum(one["category_id"] == k for one in annotations(split)) for k in range(1, len(CLASSES) + 1)]
        assert [int(row[f"boxes.{name}"]) for name in CLASSES] == each
        assert list(tree["splits"][split.role]["boxes"].values()) == each
        assert int(row["images"]) == len(split)


def test_data_without_any_box():
    splits, sizes, classes = data_page(boxed([[(9, 9, [])]] * 3)).tables
    assert splits.rows[0].cells[1:7] == ("1", "0", "0", "1", "0", "0.0")
    assert sizes.rows[0].cells == ("train", "9 x 9", "9 x 9", "9 x 9", "-", "-", "-")
    assert [row.cells for row in classes.rows] == [("a", "0", "0", "0", "0"), ("b", "0", "0", "0", "0")]


@pytest.mark.parametrize("name", list(FORMATS))
def test_no_name_of_the_data_can_break_a_format(name):
    bad = "x\ny\x1b[31m|$_{1}$"
    reading = Reading(bad, {f"classes left out ({bad})": 1}, {"shares": [0.5, 0.5], "by": bad, "seed": 0})
    text = formatted(data_page(boxed([[(9, 9, [(1, 0, 0, 5, 5)])]] * 3, (bad, "人"), bad, reading)), name)
    assert "\x1b[31m" not in text
    if name == "markdown":
        assert {line.replace(r"\|", "").count("|") for line in text.splitlines() if line.startswith("|")} == {6, 8, 9}
