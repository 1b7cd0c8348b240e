"""The engine against a second judge, faster-coco-eval, whose matching and averaging are written anew in C++. The judges
agree, to the last digit but one, on everything that real detections can hold: tied scores within an image and across
images, crowds, more than 100 detections of an image and class, areas right where two ranges meet, overlaps right at a
threshold, boxes without area or inside out, classes without detections. They disagree

- by one rounding: pycocotools adds 2.2e-16 to what precision divides by, the second judge nothing, so that a perfect
  precision is 0.9999999999999999 and 1;
- about annotations with a negative id, which the second judge never finds; both read id 0 as "not found", and the
  engine, which looks at no id, is not given any 0 (`ground_truth`);
- about boxes with coordinates that are not numbers: pycocotools counts their undefined overlap as a hit, the second
  judge as a miss, and the engine refuses them;
- about no detections at all: pycocotools cannot load them, the second judge and the engine answer 0.
"""

import copy

import numpy as np
import pytest
from hypothesis import settings

from bench.accuracy.coco import ground_truth, pooled_accuracy
from bench.accuracy.matching import AREAS, PER_IMAGE, match
from bench.accuracy.pool import pooled
from bench.accuracy.results import coco_results
from models.detector import Detections
from models.errors import UserError
from tests.support.coco_reference import EXITS, any_bed, bed, composed, stock

faster = pytest.importorskip("faster_coco_eval")

ROUNDING = 2 * np.spacing(1)


def second(truth, rows):
    """The precision [IoU, recall, class, area, most detections] of the second judge on its defaults."""
    index = faster.COCO(copy.deepcopy(truth))
    judge = faster.COCOeval_faster(index, index.loadRes(copy.deepcopy(rows)), "bbox")
    judge.evaluate()
    judge.accumulate()
    return judge.eval["precision"]


def first(truth, rows):
    return stock(truth, rows).eval["precision"]


@settings(max_examples=16)
@any_bed
def test_all_three_agree_on_any_routing(seed, levels, grid, borders):
    rng, truth, ids, found, matches = bed(seed, levels, grid=grid, borders=borders)
    routing = rng.integers(EXITS, size=len(ids))
    rows = composed(ids, found, routing)
    precision = second(truth, rows)
    np.testing.assert_allclose(precision, first(truth, rows), rtol=0, atol=ROUNDING)
    for k, area in enumerate(AREAS):
        per_class = np.nan_to_num(pooled(matches, area).per_class(routing), nan=-1)
        np.testing.assert_allclose(per_class, precision[..., k, 2].mean(axis=1).T, rtol=0, atol=1e-12)
    numbers = pooled_accuracy(matches, routing)
    for k, ap in enumerate((numbers.map, numbers.ap_small, numbers.ap_medium, numbers.ap_large)):
        defined = precision[..., k, 2][precision[..., k, 2] > -1]
        assert (ap is None and not defined.size) or ap == pytest.approx(defined.mean(), abs=1e-12)


BOX, AWAY = (10, 10, 50, 50), (200, 200, 50, 50)  # x, y, width, height
CASES = {
    "found": ([BOX], [(*BOX, 0.9)], 1),
    "a miss above it": ([BOX], [(*AWAY, 0.9), (*BOX, 0.5)], 1 / 2),
    "tied with a miss that comes later": ([BOX], [(*BOX, 0.5), (*AWAY, 0.5)], 1),
    "tied with a miss that comes first": ([BOX], [(*AWAY, 0.5), (*BOX, 0.5)], 1 / 2),
    "found twice": ([BOX], [(*BOX, 0.9), (*BOX, 0.9)], 1),
    "an overlap of exactly 1/2": ([(0, 0, 10, 10)], [(0, 0, 10, 20, 0.9)], 1 / 10),
    "the hundredth": ([BOX], [(*AWAY, 0.9)] * (PER_IMAGE - 1) + [(*BOX, 0.5)], 1 / PER_IMAGE),
    "the hundred and first": ([BOX], [(*AWAY, 0.9)] * PER_IMAGE + [(*BOX, 0.5)], 0),
    "the hundred and first, tied": ([BOX], [(*AWAY, 0.5)] * PER_IMAGE + [(*BOX, 0.5)], 0),
    "without area": ([(10, 10, 0, 0)], [(10, 10, 0, 0, 0.9)], 0),
    "inside out": ([BOX], [(60, 60, -50, -50, 0.9)], 0),
}


def planted(boxes, detections, images=1):
    """One class; boxes and detections as x, y, width, height (and score), all on the first image."""
    truth = {
        "images": [{"id": i + 1, "width": 400, "height": 400} for i in range(images)],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1, "bbox": list(box), "area": box[2] * box[3], "iscrowd": 0}
            for n, box in enumerate(boxes, 1)
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    rows = np.float32(detections).reshape(-1, 5)
    corners = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
    return truth, Detections(corners, rows[:, 4], np.ones(len(rows), np.int64))


def three_ways(truth, found):
    """mAP of detections, one entry per image in the order of their ids, by either judge and by the engine."""
    ids = sorted(image["id"] for image in truth["images"])
    rows = coco_results(ids, found)
    judged = [judge(truth, rows)[..., 0, 2].mean() for judge in (first, second)]
    return *judged, pooled([match(ground_truth(truth), ids, found)]).map(np.zeros(len(ids), int))


@pytest.mark.parametrize("name", CASES)
def test_all_three_give_the_known_answer(name):
    boxes, detections, answer = CASES[name]
    truth, found = planted(boxes, detections)
    assert three_ways(truth, [found]) == pytest.approx((answer,) * 3, abs=1e-12)


@pytest.mark.parametrize(("where", "answer"), [(0, 1), (1, 1 / 2)])
def test_ties_across_images_go_by_image_id(where, answer):
    truth, hit = planted([BOX], [(*BOX, 0.5)], images=2)
    truth["annotations"][0]["image_id"] = where + 1
    _, miss = planted([], [(*AWAY, 0.5)])
    assert three_ways(truth, [hit, miss] if where == 0 else [miss, hit]) == pytest.approx((answer,) * 3, abs=1e-12)


@pytest.mark.parametrize(("crowd", "answer"), [(0, (51 + 50 / 2) / 101), (1, 1)])
def test_a_crowd_takes_any_number(crowd, answer):
    truth, found = planted([BOX, AWAY], [(*AWAY, 0.9), (210, 210, 9, 9, 0.8), (*AWAY, 0.7), (*BOX, 0.5)])
    truth["annotations"][1]["iscrowd"] = crowd
    assert three_ways(truth, [found]) == pytest.approx((answer,) * 3, abs=1e-12)


def test_a_perfect_precision_differs_by_one_rounding():
    truth, found = planted([BOX], [(*BOX, 0.9)])
    stock_map, second_map, engine = three_ways(truth, [found])
    assert stock_map < second_map == 1
    assert second_map - stock_map <= ROUNDING
    assert engine < 1


def test_the_second_judge_never_finds_an_annotation_with_a_negative_id():
    truth, found = planted([BOX], [(*BOX, 0.9)])
    truth["annotations"][0]["id"] = -3
    assert three_ways(truth, [found]) == pytest.approx((1, 0, 1), abs=1e-12)


@pytest.mark.filterwarnings("ignore:Found annotation id 0")
def test_both_judges_take_id_0_for_not_found():
    truth, found = planted([BOX], [(*BOX, 0.9)])
    truth["annotations"][0]["id"] = 0
    rows = coco_results([1], [found])
    assert first(truth, rows)[..., 0, 2].max() == second(truth, rows)[..., 0, 2].max() == 0
    with pytest.raises(UserError, match="id 0"):
        ground_truth(truth)


def test_the_judges_disagree_about_a_box_that_is_not_a_number():
    truth, found = planted([BOX], [(*BOX, 0.9)])
    rows = coco_results([1], [found])
    rows[0]["bbox"][2] = float("nan")
    assert first(truth, rows)[..., 0, 2].mean() == pytest.approx(1, abs=1e-12)
    assert second(truth, rows)[..., 0, 2].mean() == 0
    found.boxes[0, 2] = np.nan
    with pytest.raises(UserError, match="not finite"):
        match(ground_truth(truth), [1], [found])


def test_only_pycocotools_cannot_load_no_detections():
    truth, found = planted([BOX], [])
    index = ground_truth(truth)
    with pytest.raises(IndexError):
        index.loadRes([])
    assert second(truth, [])[..., 0, 2].mean() == pooled([match(index, [1], [found])]).map(np.array([0])) == 0
