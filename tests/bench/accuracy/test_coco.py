"""Every number against the stock COCOeval, run from scratch on the composed detections of a random routing: with tied
scores, crowds, images without boxes and others with more detections than count, classes without detections, exits that
find nothing, areas right where two ranges meet."""

import copy
import gzip
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.accuracy.coco import accuracy, bootstrap_map, ground_truth, pooled_accuracy
from bench.accuracy.matching import AREAS, match
from bench.accuracy.pool import pooled
from bench.accuracy.results import coco_results, write_json
from bench.stats import resample
from models.detector import Detections
from models.errors import UserError
from tests.support.coco_reference import EXITS, NAMES, any_bed, bed, composed, random_detections, random_truth, stock


def assert_equal_to_stock(result, judge, apart=0.0, areas=True):
    def same(value, reference):
        assert (value is None and reference == -1) or value == pytest.approx(reference, rel=0, abs=apart)

    stats, precision = judge.stats, judge.eval["precision"][:, :, :, 0, 2]
    for value, reference in zip((result.map, result.map50, result.map75), stats[:3], strict=True):
        same(value, reference)
    for value, reference in zip((result.ap_small, result.ap_medium, result.ap_large), stats[3:6], strict=True):
        same(value, reference if areas else -1)
    assert tuple(result.per_class) == tuple(result.per_class50) == NAMES
    for k, name in enumerate(NAMES):
        defined = precision[0, 0, k] > -1
        same(result.per_class[name], np.mean(precision[:, :, k]) if defined else -1)
        same(result.per_class50[name], np.mean(precision[0, :, k]) if defined else -1)


@settings(max_examples=16)
@any_bed
def test_any_routing_equals_stock_cocoeval(seed, levels, grid, borders):
    rng, truth, ids, found, matches = bed(seed, levels, grid=grid, borders=borders)
    for routing in (rng.integers(EXITS, size=len(ids)), np.full(len(ids), rng.integers(EXITS))):
        judge = stock(truth, composed(ids, found, routing))
        assert_equal_to_stock(accuracy(matches, routing), judge)
        assert_equal_to_stock(accuracy(matches, routing, full=False), judge, 1e-12, areas=False)
        assert_equal_to_stock(pooled_accuracy(matches, routing), judge, 1e-12)
        for k, area in enumerate(AREAS):
            per_class = np.nan_to_num(pooled(matches, area).per_class(routing), nan=-1)
            reference = judge.eval["precision"][..., k, 2].mean(axis=1).T
            np.testing.assert_allclose(per_class, reference, rtol=0, atol=1e-12)


@pytest.mark.parametrize("side", [32.0, 96.0])
@pytest.mark.parametrize(("off", "counts"), [(-1, (True, False)), (0, (True, True)), (1, (False, True))])
def test_an_area_range_holds_both_its_ends(side, off, counts):
    """One box of side^2 px is found, below a detection of about the same area that matches nothing."""
    truth = {
        "images": [{"id": 1}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, side, side], "area": side**2, "iscrowd": 0}
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    boxes = np.float32([[200, 200, 200 + side + off / 1024, 200 + side], [0, 0, side, side]])
    found = Detections(boxes, np.float32([0.9, 0.5]), np.array([1, 1]))
    matches = [match(ground_truth(truth), [1], [found])]
    below, above = ("small", "medium") if side == 32 else ("medium", "large")
    for area, left_in in zip((below, above), counts, strict=True):
        assert pooled(matches, area).map(np.array([0])) == pytest.approx(0.5 if left_in else 1, abs=1e-12)
    (apart,) = AREAS.keys() - {"all", below, above}
    assert math.isnan(pooled(matches, apart).map(np.array([0])))


def test_the_pool_of_an_area_range_is_the_same_from_any_matches():
    rng, truth, ids, found, matches = bed(8, borders=True)
    small = [match(ground_truth(truth), ids, one, area="small") for one in found]
    routing = rng.integers(EXITS, size=len(ids))
    for area in AREAS:
        of_all, of_small = pooled(matches, area).per_class(routing), pooled(small, area).per_class(routing)
        np.testing.assert_array_equal(of_all, of_small)
    assert accuracy(small, routing) == accuracy(matches, routing)
    assert pooled(matches, "small").map(routing) != pooled(matches).map(routing)


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32), levels=st.sampled_from([2, 2**20]))
def test_a_resample_equals_stock_cocoeval_with_the_drawn_images_copied(seed, levels):
    rng, truth, ids, found, matches = bed(seed, levels)
    routing, draw = rng.integers(EXITS, size=len(ids)), rng.integers(len(ids), size=len(ids))
    copies = [(i, 1000 * ids[i] + nth) for i in range(len(ids)) for nth in range(np.count_nonzero(draw == i))]
    annotations = [
        {**box, "image_id": image_id}
        for i, image_id in copies
        for box in truth["annotations"]
        if box["image_id"] == ids[i]
    ]
    repeated = {
        "images": [{"id": image_id} for _, image_id in copies],
        "annotations": [{**box, "id": n + 1} for n, box in enumerate(annotations)],
        "categories": truth["categories"],
    }
    rows = coco_results([image_id for _, image_id in copies], [found[routing[i]][i] for i, _ in copies])
    judge = stock(repeated, rows)
    pool, times = pooled(matches), np.bincount(draw, minlength=len(ids))
    for metric, reference in zip(("map", "map50", "map75"), judge.stats, strict=False):
        (value,) = pool.map_many(routing, times, metric=metric)
        assert (np.isnan(value) and reference == -1) or value == pytest.approx(reference, abs=1e-12)


@settings(max_examples=6)
@given(seed=st.integers(0, 2**32), levels=st.sampled_from([2, 2**20]))
def test_many_routings_and_weights_at_once_equal_one_after_the_other(seed, levels):
    rng, _, ids, _, matches = bed(seed, levels)
    pool, routings = pooled(matches), rng.integers(EXITS, size=(7, len(ids)))
    times = rng.integers(3, size=routings.shape)
    alone = [pool.map(routing) for routing in routings]
    np.testing.assert_array_equal(pool.map_many(routings), alone)
    np.testing.assert_array_equal(pool.map_many(routings, np.ones(len(ids), int)), alone)
    pairs = [pool.map_many(r, t)[0] for r, t in zip(routings, times, strict=True)]
    np.testing.assert_array_equal(pool.map_many(routings, times), pairs)
    left_out = pool.map_many(routings[0], np.eye(len(ids), dtype=int))
    mixed = np.where(np.eye(len(ids), dtype=bool), routings[0], routings[1])
    np.testing.assert_array_equal(pool.map_many(mixed, np.eye(len(ids), dtype=int)), left_out)


@pytest.mark.parametrize("metric", ["map", "map50", "map75"])
def test_bootstrap_draws_images_and_pairs_detectors(metric):
    rng, _, ids, _, matches = bed(5, n=30)
    routing = rng.integers(EXITS, size=len(ids))
    values = bootstrap_map(matches, routing, 20, seed=7, metric=metric)
    for value, draw in zip(values, resample(len(ids), 20, 7), strict=True):
        assert value == pooled(matches).map_many(routing, np.bincount(draw, minlength=len(ids)), metric=metric)
    np.testing.assert_array_equal(values, bootstrap_map(matches, routing, 20, seed=7, metric=metric))
    assert len(np.unique(values)) > 10
    twin = bootstrap_map([matches[0]], np.zeros(len(ids), int), 20, seed=7, metric=metric)
    np.testing.assert_array_equal(twin, bootstrap_map(matches, np.zeros(len(ids), int), 20, seed=7, metric=metric))


def test_nothing_found_scores_zero_and_nothing_to_find_scores_none():
    nothing = [Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))] * 2
    truth = {
        "images": [{"id": 4}, {"id": 2}],
        "annotations": [{"id": 1, "image_id": 2, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 81, "iscrowd": 0}],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "chair"}],
    }
    routing = np.zeros(2, int)
    matches = [match(ground_truth(truth), [4, 2], nothing)]
    for full in (True, False):
        result = accuracy(matches, routing, full=full)
        assert (result.map, result.map50, result.map75) == (0, 0, 0)
        assert result.per_class == result.per_class50 == {"person": 0, "chair": None}
    assert (result.ap_small, result.ap_large) == (None, None)
    assert accuracy(matches, routing).ap_small == 0
    assert pooled_accuracy(matches, routing) == accuracy(matches, routing)
    unboxed = [match(ground_truth({**truth, "annotations": []}), [4, 2], nothing)]
    assert accuracy(unboxed, routing).map is None
    assert accuracy(unboxed, routing, full=False).map is None
    assert pooled_accuracy(unboxed, routing) == accuracy(unboxed, routing)
    assert all(math.isnan(value) for value in bootstrap_map(unboxed, routing, 3, seed=0))


def test_a_written_file_scores_what_was_reported(tmp_path):
    rng, truth, ids, found, matches = bed(11, levels=2**20, n=25)
    routing = rng.integers(EXITS, size=len(ids))
    write_json(tmp_path / "results.json.gz", composed(ids, found, routing))
    rows = json.loads(gzip.decompress((tmp_path / "results.json.gz").read_bytes()))
    assert accuracy(matches, routing).map == stock(truth, rows).stats[0]


def test_the_ground_truth_is_left_as_it_was():
    rng = np.random.default_rng(2)
    truth = random_truth(rng, 8)
    before = copy.deepcopy(truth)
    match(ground_truth(truth), [i["id"] for i in truth["images"]], random_detections(rng, truth, 4))
    assert truth == before


def test_pycocotools_keeps_quiet(capfd):
    rng, _, ids, _, matches = bed(3)
    accuracy(matches, rng.integers(EXITS, size=len(ids)))
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_what_cannot_be_judged_is_refused():
    _, truth, ids, found, matches = bed(4)
    index, zeros = ground_truth(truth), np.zeros(len(ids), int)
    odd = Detections(np.float32([[0.0, 0.0, np.nan, 9.0]]), np.float32([0.5]), np.array([1]))
    with pytest.raises(UserError, match=f"image {ids[0]}: .*not finite"):
        match(index, ids, [odd, *found[0][1:]])
    with pytest.raises(UserError, match="id 0"):
        ground_truth({**truth, "annotations": [{**truth["annotations"][0], "id": 0}]})
    stranger = Detections(np.float32([[0, 0, 9, 9]]), np.float32([0.5]), np.array([4]))
    with pytest.raises(ValueError, match="4"):
        match(index, ids, [stranger, *found[0][1:]])
    with pytest.raises(ValueError, match="image ids"):
        match(index, [ids[0], *ids[:-1]], found[0])
    for routing in (zeros - 1, zeros + EXITS, zeros[:-1]):
        for judged in (accuracy, pooled_accuracy):
            with pytest.raises(ValueError, match="routing"):
                judged(matches, routing)
    for times in (zeros - 1, zeros[:-1], zeros + 2**15):
        with pytest.raises(ValueError, match="times"):
            pooled(matches).map_many(zeros, times)
    other = match(index, ids[::-1], found[0][::-1])
    with pytest.raises(ValueError, match="different images"):
        accuracy([matches[0], other], zeros)


def test_photographs(shared):
    """Real ground truth, 600 images, one class: the pool's numbers are the judge's."""
    truth = json.loads((shared / "data/coco-person/instances_test.json").read_text())
    chair = next(c["id"] for c in truth["categories"] if c["name"] == "chair")
    truth = {
        "images": truth["images"],
        "categories": [{"id": 1, "name": NAMES[0]}],
        "annotations": [{**a, "category_id": 1} for a in truth["annotations"] if a["category_id"] == chair],
    }
    rng, ids = np.random.default_rng(0), [image["id"] for image in truth["images"]]
    found = []
    for _ in range(2):
        drawn = random_detections(rng, truth, 2**20)
        kept = [d.labels == 1 for d in drawn]
        found.append([Detections(d.boxes[k], d.scores[k], d.labels[k]) for d, k in zip(drawn, kept, strict=True)])
    matches = [match(ground_truth(truth), ids, one) for one in found]
    routing = rng.integers(2, size=len(ids))
    judge = stock(truth, composed(ids, found, routing))
    judged, quick = accuracy(matches, routing), pooled_accuracy(matches, routing)
    assert judged.map == judge.stats[0]
    assert 0.01 < judged.map < 0.99
    numbers = (quick.map, quick.map50, quick.map75, quick.ap_small, quick.ap_medium, quick.ap_large)
    assert numbers == pytest.approx(judge.stats[:6].tolist(), abs=1e-12)
    assert quick.per_class == pytest.approx(judged.per_class, abs=1e-12)
