"""The picture of sizes shows the counts, and nothing in it covers anything else."""

import warnings
from itertools import pairwise

import numpy as np
import pytest

from bench.report.data_figures import COLOUR, MOST_CLASSES, sizes_figure
from tests.support.boxed import boxed, scattered
from tests.support.seen import check_apart, pixels, texts, where

ODD = "a very long name\nwith \x1b[31m strange $x_1$ and $broken characters 人 in it"
ODDITIES = {
    "many": [scattered(40, 30, np.random.default_rng(k)) for k in range(3)],
    "one image a split": [[(50, 50, [(1, 0, 0, 9, 9)])]] * 3,
    "no box": [[(50, 50, [])]] * 3,
    "no box in one split": [[(50, 50, [(2, 0, 0, 9, 9)])], [(50, 50, [])], [(50, 50, [(-1, 0, 0, 9, 9)])]],
    "a pixel": [[(1, 1, [(1, 0, 0, 1, 1)])]] * 3,
    "huge boxes": [[(9000, 9000, [(1, 0, 0, 9000, 9000), (1, 0, 0, 0.5, 0.5)])], *[[(9, 9, [])]] * 2],
    "a crowd": [[(500, 500, [(1, k, 0, k + 5, 9) for k in range(480)])], *[[(50, 50, [])]] * 2],
}


@pytest.mark.parametrize("classes", [1, 2, 30])
@pytest.mark.parametrize("parts", ODDITIES.values(), ids=list(ODDITIES))
def test_whatever_the_data_nothing_covers_anything_or_warns(parts, classes):
    names = tuple(f"{k} {ODD}" for k in range(classes))
    clipped = [[(w, h, [(int(np.sign(b[0])) * min(abs(b[0]), classes), *b[1:]) for b in bs]) for w, h, bs in part]
               for part in parts]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = sizes_figure(boxed(clipped, names, name=ODD * 5))
        check_apart(figure)
    assert figure.canvas.get_width_height()[0] == 1600


def test_dollars_are_no_mathematics():
    bad = r"$\q$"
    figure = sizes_figure(boxed([[(100, 60, [(1, 20, 10, 50, 40)])]] * 3, (bad, "b"), bad))
    figure.canvas.draw()
    assert [text.get_text() for text in texts(figure)].count(bad) == 2


@pytest.fixture(scope="module")
def figure():
    rng = np.random.default_rng(1)
    return sizes_figure(boxed([scattered(n, 5, rng) for n in (60, 20, 30)], tuple("abcde")))


def test_bars_histograms_and_numbers_are_the_counts(figure):
    rng = np.random.default_rng(1)
    data = boxed([scattered(n, 5, rng) for n in (60, 20, 30)], tuple("abcde"))
    bars, sizes, images = figure.axes
    boxes = [[a for a in split.coco()["annotations"] if not a["iscrowd"]] for split in data.splits]
    names = [label.get_text() for label in bars.get_yticklabels()]
    lengths = np.array([bar.get_width() for bar in bars.patches[:15]]).reshape(3, 5)
    for k, found in enumerate(boxes):
        each = [sum(a["category_id"] == "abcde".index(name) + 1 for a in found) for name in names]
        assert lengths[k].tolist() == each
        share, edges, _ = sizes.patches[2 * k].get_data()
        sides = np.maximum(np.sqrt([a["area"] for a in found]), 1)
        inside = [((sides >= low) & (sides < high)).sum() for low, high in pairwise(edges)]
        assert share * len(found) / 100 == pytest.approx(inside)
        assert sum(inside) == len(found)
        share, edges, _ = images.patches[2 * k].get_data()
        held = np.bincount([sum(a["image_id"] == e.id for a in found) for e in data.splits[k].examples])
        assert share[: len(held)] * len(data.splits[k]) / 100 == pytest.approx(held)
        assert edges[:2].tolist() == [-0.5, 0.5]
    assert [text.get_text() for text in bars.texts] == [
        " / ".join(str(int(lengths[k, row])) for k in range(3)) for row in range(5)
    ]


def test_the_borders_of_small_and_large_are_marked(figure):
    sizes = figure.axes[1]
    assert sorted(line.get_xdata()[0] for line in sizes.lines) == pytest.approx([32, 96])
    assert [text.get_text() for text in sizes.texts] == ["small", "medium", "large"]


def test_of_many_classes_the_most_frequent_are_drawn():
    boxes = [(k, 0, 0, 5, 5) for k in range(1, 31) for _ in range(k)]
    figure = sizes_figure(boxed([[(50, 50, boxes)], [(50, 50, [])], [(50, 50, [])]], tuple(map(str, range(1, 31)))))
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == [str(k) for k in range(30, 30 - MOST_CLASSES, -1)]
    assert "Boxes by class, 20 of 30 classes" in [text.get_text() for text in texts(figure)]


def test_the_file_has_the_splits_colours_and_a_white_edge(figure, tmp_path):
    image = pixels(figure, tmp_path)
    assert all(where(image, colour).sum() > 500 for colour in COLOUR.values())
    for edge in (image[:3], image[-3:], image[:, :3], image[:, -3:]):
        assert (edge == 255).all()
