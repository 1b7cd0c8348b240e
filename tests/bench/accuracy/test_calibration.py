"""D-ECE: planted scores whose error is known, what counts and what does not, and agreement with a naive reading of the
definition that matches the boxes by itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.accuracy.calibration import BINS, FLOOR, calibration_error
from bench.accuracy.coco import ground_truth
from bench.accuracy.matching import Matches, match
from models.detector import Detections
from tests.support.made import matched

BOX, FAR = [10.0, 10.0, 60.0, 60.0], [70.0, 70.0, 90.0, 90.0]


def planted(scores: list[float], right: list[bool]) -> Matches:
    """An image with one box and one detection for each score, on the box where it is right."""
    boxes = [np.array([BOX if hit else FAR]) for hit in right]
    return matched([boxes], [[np.array([score]) for score in scores]])[0]


def test_scores_that_are_the_share_of_hits_have_no_error():
    tenths = [(k / 10, rank < k) for k in range(1, 11) for rank in range(10)]
    assert calibration_error(planted(*zip(*tenths, strict=True))) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("scores", "right", "expected"),
    [
        ([0.9] * 10, [True] * 6 + [False] * 4, 0.3),
        ([0.9] * 10, [False] * 10, 0.9),
        ([0.2] * 10, [True] * 10, 0.8),
        ([1.0] * 4, [True] * 4, 0),
        ([FLOOR + 1e-6] * 4, [False] * 4, FLOOR),
        ([0.9] * 6 + [0.3] * 2, [False] * 6 + [True] * 2, (6 * 0.9 + 2 * 0.7) / 8),
        ([0.90, 0.91], [True, False], (0.90 + 0.91) / 2 - 0.5),
    ],
)
def test_a_planted_gap_is_found(scores, right, expected):
    assert calibration_error(planted(scores, right)) == pytest.approx(expected, abs=1e-6)


def test_gaps_of_opposite_sign_cancel_within_a_bin_only():
    assert calibration_error(planted([0.5] * 4, [True, True, False, False])) == pytest.approx(0, abs=1e-6)
    assert calibration_error(planted([0.8] * 2 + [0.2] * 2, [False] * 2 + [True] * 2)) == pytest.approx(0.8)


def test_what_lies_below_the_floor_counts_nowhere():
    known = calibration_error(planted([0.9, 0.7], [True, False]))
    assert calibration_error(planted([0.9, 0.7, 0.04, 0.001], [True, False, False, True])) == known
    assert calibration_error(planted([0.04, 0.001], [True, False])) is None


Box = tuple[list[float], int, int]  # corners, label, crowd
Found = tuple[list[float], float, int]  # corners, score, label


def matches_of(images: dict[int, tuple[list[Box], list[Found]]]) -> Matches:
    annotations = [
        {"image_id": i, "category_id": label, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
        | {"iscrowd": crowd}
        for i, (boxes, _) in images.items()
        for (x1, y1, x2, y2), label, crowd in boxes
    ]
    truth = {
        "images": [{"id": i, "width": 200, "height": 200} for i in images],
        "annotations": [{"id": number, **one} for number, one in enumerate(annotations, start=1)],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
    }
    detections = []
    for _, found in images.values():
        boxes, scores, labels = zip(*sorted(found, key=lambda one: -one[1]), strict=True) if found else ((), (), ())
        detections.append(Detections(np.float32(boxes).reshape(-1, 4), np.float32(scores), np.array(labels, np.int64)))
    return match(ground_truth(truth), list(images), detections)


def test_what_is_found_in_a_crowd_is_left_out():
    crowd, person = (BOX, 1, 1), (FAR, 1, 0)
    found = [(BOX, 0.9, 1), (FAR, 0.6, 1)]
    assert calibration_error(matches_of({1: ([crowd, person], found)})) == pytest.approx(0.4)
    assert calibration_error(matches_of({1: ([crowd], found[:1])})) is None
    assert calibration_error(matches_of({1: ([(BOX, 2, 1), person], found)})) == pytest.approx((0.9 + 0.4) / 2)


def overlap(a: list[float], b: list[float]) -> float:
    width, height = (min(a[k + 2], b[k + 2]) - max(a[k], b[k]) for k in (0, 1))
    both = max(width, 0) * max(height, 0)
    return both / (sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - both)


def naive(images: dict[int, tuple[list[Box], list[Found]]]) -> float | None:
    """The definition, detection by detection; without crowds."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for boxes, found in images.values():
        free = list(boxes)
        for corners, score, label in sorted(found, key=lambda one: -one[1]):
            score = float(np.float32(score))
            candidates = [box for box in free if box[1] == label and overlap(corners, box[0]) >= 0.5]
            if candidates:
                free.remove(max(reversed(candidates), key=lambda box: overlap(corners, box[0])))  # COCO: the last
            if score >= FLOOR:
                edges = [FLOOR + (1 - FLOOR) * k / BINS for k in range(1, BINS)]
                bins.setdefault(sum(score >= edge for edge in edges), []).append((score, bool(candidates)))
    total = sum(map(len, bins.values()))
    apart = [len(b) / total * abs(np.mean([s for s, _ in b]) - np.mean([hit for _, hit in b])) for b in bins.values()]
    return sum(apart) if total else None


corners = st.tuples(*[st.integers(0, 8)] * 2, *[st.integers(1, 6)] * 2).map(
    lambda b: [10.0 * b[0], 10.0 * b[1], 10.0 * (b[0] + b[2]), 10.0 * (b[1] + b[3])]
)
boxes = st.lists(st.tuples(corners, st.integers(1, 2), st.just(0)), max_size=4, unique_by=lambda box: str(box[0]))
answers = st.lists(
    st.tuples(corners, st.integers(1, 999), st.integers(1, 2)), max_size=8, unique_by=lambda one: one[1]
).map(lambda found: [(box, score / 1000, label) for box, score, label in found])


@settings(max_examples=80)
@given(st.lists(st.tuples(boxes, answers), min_size=1, max_size=6), st.randoms())
def test_it_is_the_definition_whatever_the_order_of_the_images(found, random):
    images = dict(enumerate(found, start=1))
    expected, value = naive(images), calibration_error(matches_of(images))
    assert value == (None if expected is None else pytest.approx(expected, abs=1e-6))
    shuffled = list(images)
    random.shuffle(shuffled)
    other = calibration_error(matches_of({i: images[i] for i in shuffled}))
    assert other == (None if value is None else pytest.approx(value, abs=1e-12))
