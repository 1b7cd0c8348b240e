"""The area under the ROC curve is what counting pairs gives, and the report knows a criterion that knows."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.accuracy.coco import ground_truth
from bench.accuracy.matching import match
from bench.exits.criteria import NEVER
from bench.measure.exit_table import ExitTable
from bench.routing.auroc import areas, aurocs
from models.detector import Detections

IMAGES = 60


def by_pairs(scores, good) -> float:
    pairs = list(product(scores[good], scores[~good]))
    return sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs) if pairs else np.nan


@given(
    images=st.lists(
        st.tuples(st.sampled_from([NEVER, 0.0, 0.25, 0.5, 3.0]), st.booleans(), st.integers(0, 3)), min_size=1
    )
)
def test_it_is_the_share_of_pairs_in_order_however_often_an_image_counts(images):
    scores, good, often = (np.array(column) for column in zip(*images, strict=True))
    once, repeated = areas(scores, good, np.stack([np.ones_like(often), often]))
    assert once == pytest.approx(by_pairs(scores, good), nan_ok=True)
    assert repeated == pytest.approx(by_pairs(np.repeat(scores, often), np.repeat(good, often)), nan_ok=True)


def world(scores: dict[str, np.ndarray], finds: np.ndarray):
    """One box in every image; the first exit finds it where `finds`, the last everywhere. scores: of the first exit."""
    images = [{"id": i, "width": 100, "height": 100} for i in range(IMAGES)]
    boxes = [
        {"id": i + 1, "image_id": i, "category_id": 1, "bbox": [10, 10, 50, 50], "area": 2500, "iscrowd": 0}
        for i in range(IMAGES)
    ]
    truth = ground_truth({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "a"}]})
    found = Detections(np.float32([[10, 10, 60, 60]]), np.float32([0.9]), np.array([1]))
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    detections = [[found if hit else nothing for hit in finds], [found] * IMAGES]
    columns = {name: np.stack([s, s], axis=1) for name, s in scores.items()}
    table = ExitTable("test", "h", tuple(range(IMAGES)), detections, columns)
    return table, [match(truth, range(IMAGES), exit) for exit in detections]


def test_a_criterion_that_knows_one_that_errs_and_one_that_says_nothing():
    rng = np.random.default_rng(0)
    finds = rng.random(IMAGES) < 0.3
    knows = np.where(finds, 0.8, 0.2) + rng.random(IMAGES) * 0.1
    noisy = np.where(finds, 0.6, 0.4) + rng.random(IMAGES)
    scores = {"knows": knows, "errs": 1 - knows, "noisy": noisy, "silent": np.full(IMAGES, NEVER)}
    found = {one.criterion: one for one in aurocs(*world(scores, finds), resamples=200, seed=0)}
    assert all(one.exit == 0 and one.as_good == finds.mean() for one in found.values())
    assert (found["knows"].value, found["knows"].interval) == (1, (1, 1))
    assert (found["errs"].value, found["errs"].interval) == (0, (0, 0))
    assert (found["silent"].value, found["silent"].interval) == (0.5, (0.5, 0.5))
    low, high = found["noisy"].interval
    assert 0.5 < found["noisy"].value < 1
    assert low < found["noisy"].value < high
    assert found["noisy"].value == pytest.approx(by_pairs(noisy, finds))


def test_where_an_exit_is_always_as_good_there_is_nothing_to_tell():
    (one,) = aurocs(*world({"any": np.arange(IMAGES) * 1.0}, np.ones(IMAGES, bool)), resamples=20, seed=0)
    assert (one.as_good, one.value, one.interval) == (1, None, None)


def test_draws_with_one_kind_of_image_are_left_out():
    finds = np.zeros(IMAGES, bool)
    finds[0] = True
    (one,) = aurocs(*world({"any": np.where(finds, 1.0, 0.0)}, finds), resamples=50, seed=0)
    assert (one.value, one.interval) == (1, (1, 1))
