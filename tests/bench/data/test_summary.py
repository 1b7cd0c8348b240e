"""What is counted in a split is what pycocotools counts in the same ground truth."""

from itertools import pairwise

import numpy as np
import pytest
from pycocotools.coco import COCO

from bench.data.split import Reading
from bench.data.summary import counts, summary
from tests.support.boxed import boxed, scattered

CLASSES = tuple("abcde")
FAR = 1e10


def indexed(split) -> COCO:
    """The split as pycocotools reads it."""
    found = COCO()
    found.dataset = split.coco()
    found.createIndex()
    return found


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    return boxed([scattered(images, len(CLASSES), rng) for images in (60, 20, 30)], CLASSES)


def test_boxes_sizes_and_regions_are_those_of_pycocotools(data):
    for split in data.splits:
        found, coco = counts(split), indexed(split)
        ids = {one["name"]: one["id"] for one in coco.loadCats(coco.getCatIds())}
        assert found.images == len(coco.getImgIds())
        assert found.boxes == {name: len(coco.getAnnIds(catIds=[ids[name]], iscrowd=False)) for name in CLASSES}
        assert found.crowds == len(coco.getAnnIds(iscrowd=True))
        assert found.empty == sum(not coco.getAnnIds(imgIds=[key]) for key in coco.getImgIds())
        edges = (0, 32**2, 96**2, FAR)
        ranges = dict(zip(("small", "medium", "large"), pairwise(edges), strict=True))
        assert found.sizes == {name: len(coco.getAnnIds(areaRng=r, iscrowd=False)) for name, r in ranges.items()}
        assert min(found.sizes.values()) > 0


def test_a_box_on_a_border_is_of_the_larger_size():
    sides = [(1, 0, 0, side, side) for side in (31, 32, 95, 96)]
    found = counts(boxed([[(100, 100, sides)]] * 3).train)
    assert found.sizes == {"small": 1, "medium": 2, "large": 1}


def test_the_smallest_the_median_and_the_largest_image():
    sizes = [(30, 10), (5, 90), (20, 20), (7, 3), (100, 100)]
    found = counts(boxed([[(*size, []) for size in sizes], [(4, 6, [])], [(1, 2, []), (3, 4, [])]]).train)
    assert found.pixels == ((7, 3), (20, 20), (100, 100))
    one = counts(boxed([[(4, 6, [])], [(4, 6, [])], [(1, 2, []), (3, 4, [])]]).val)
    assert one.pixels == ((4, 6), (4, 6), (4, 6))


def test_the_lines_tell_what_was_read_and_changed():
    split = {"shares": [0.5, 0.25, 0.25], "by": "folder", "seed": 7}
    reading = Reading("YOLO", {"boxes clipped to the image": 1200}, split)
    parts = [[(9, 9, [(1, 0, 0, 5, 5), (-1, 0, 0, 3, 3)]), (9, 9, [])], [(9, 9, [(2, 0, 0, 5, 5)])], [(9, 9, [])]]
    assert summary(boxed(parts, reading=reading)) == [
        "read as YOLO",
        "split 50/25/25 by folder, seed 7",
        "train: 2 images, 1 box of 1 class, 1 image without a box, 1 ignore region, none of b",
        "val: 1 image, 1 box of 1 class, none of a",
        "test: 1 image, 0 boxes of 0 classes, 1 image without a box, none of a, b",
        "boxes clipped to the image: 1,200",
    ]
