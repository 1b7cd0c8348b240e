"""F1 of single images: what counts and what does not, and that it is the agreement of an exit with the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.accuracy.coco import ground_truth
from bench.accuracy.matching import match
from bench.accuracy.per_image import f1
from bench.exits.agreement import agreed
from models.detector import Detections

BOX, FAR = [10.0, 10.0, 60.0, 60.0], [70.0, 70.0, 90.0, 90.0]
Found = tuple[list[float], float, int]


def detections(found: list[Found]) -> Detections:
    found = sorted(found, key=lambda one: -one[1])
    boxes = np.float32([box for box, _, _ in found]).reshape(-1, 4)
    return Detections(boxes, np.float32([s for _, s, _ in found]), np.array([c for _, _, c in found], np.int64))


def scored(images: dict[int, tuple[list[tuple[list[float], int, int]], list[Found]]]) -> np.ndarray:
    """F1 of images given as id: (boxes as (corners, label, crowd), detections)."""
    boxes = [(i, *box) for i, (truth, _) in images.items() for box in truth]
    annotations = [
        {
            "id": number,
            "image_id": i,
            "category_id": label,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": crowd,
        }
        for number, (i, (x1, y1, x2, y2), label, crowd) in enumerate(boxes, start=1)
    ]
    truth = {
        "images": [{"id": i, "width": 100, "height": 100} for i in images],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
    }
    return f1(match(ground_truth(truth), list(images), [detections(found) for _, found in images.values()]))


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [
        ([], [], 1),
        ([], [(BOX, 0.31, 1)], 0),
        ([], [(BOX, 0.29, 1)], 1),
        ([(BOX, 1, 0)], [], 0),
        ([(BOX, 1, 0)], [(BOX, 0.31, 1)], 1),
        ([(BOX, 1, 0)], [(BOX, 0.29, 1)], 0),
        ([(BOX, 1, 0)], [(BOX, 0.9, 2)], 0),
        ([(BOX, 1, 0)], [(BOX, 0.9, 1), (FAR, 0.9, 1)], 2 / 3),
        ([(BOX, 1, 0), (FAR, 2, 0)], [(BOX, 0.9, 1)], 2 / 3),
        ([(BOX, 1, 1)], [], 1),
        ([(BOX, 1, 1)], [(BOX, 0.9, 1)], 1),
        ([(BOX, 1, 1), (FAR, 1, 0)], [(BOX, 0.9, 1), (BOX, 0.8, 1), (FAR, 0.7, 1)], 1),
    ],
)
def test_what_counts(truth, found, expected):
    assert scored({1: (truth, found)})[0] == pytest.approx(expected)


def test_it_follows_the_order_of_the_ids_as_given():
    images = {7: ([(BOX, 1, 0)], [(BOX, 0.9, 1)]), 3: ([(BOX, 1, 0)], []), 5: ([], [])}
    assert scored(images).tolist() == [1, 0, 1]


corners = st.tuples(*[st.integers(0, 8)] * 2, *[st.integers(1, 6)] * 2).map(
    lambda b: [10.0 * b[0], 10.0 * b[1], 10.0 * (b[0] + b[2]), 10.0 * (b[1] + b[3])]
)


@settings(max_examples=60)
@given(
    boxes=st.lists(st.tuples(corners, st.integers(1, 2)), max_size=5),
    found=st.lists(st.tuples(corners, st.integers(1, 2)), max_size=6),
)
def test_it_is_the_agreement_with_the_truth(boxes, found):
    said = [(box, 0.9 - 0.13 * rank, label) for rank, (box, label) in enumerate(found)]
    (value,) = scored({1: ([(box, label, 0) for box, label in boxes], said)})
    truth = detections([(box, 1.0, label) for box, label in boxes])
    assert value == pytest.approx(agreed(detections(said), truth))
