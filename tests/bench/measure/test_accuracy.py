"""Every number against the stock COCOeval, run from scratch on the composed detections of a random routing:
with tied scores, crowds, images without boxes, classes without detections, exits that find nothing."""

import copy
import gzip
import json
import math

import numpy as np
import pytest
import torch
from coco_reference import EXITS, NAMES, bed, composed, random_detections, random_truth, stock
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.measure.accuracy import accuracy, bootstrap_map, ground_truth
from bench.measure.matching import match
from bench.measure.pool import pooled
from bench.measure.results import coco_results, write_json
from bench.stats import resample
from models.detector import Detections
from models.errors import UserError


def assert_equal_to_stock(result, judge, full):
    def same(value, reference):
        close = reference if full else pytest.approx(reference, abs=1e-12)
        assert (value is None and reference == -1) or value == close

    stats, precision = judge.stats, judge.eval["precision"][:, :, :, 0, 2]
    for value, reference in zip((result.map, result.map50, result.map75), stats[:3], strict=True):
        same(value, reference)
    areas = (result.ap_small, result.ap_medium, result.ap_large)
    for value, reference in zip(areas, stats[3:6], strict=True):
        same(value, reference if full else -1)
    assert tuple(result.per_class) == tuple(result.per_class50) == NAMES
    for k, name in enumerate(NAMES):
        defined = precision[0, 0, k] > -1
        same(result.per_class[name], np.mean(precision[:, :, k]) if defined else -1)
        same(result.per_class50[name], np.mean(precision[0, :, k]) if defined else -1)


@settings(max_examples=24)
@given(seed=st.integers(0, 2**32), levels=st.sampled_from([2, 5, 2**20]), grid=st.sampled_from([0, 20, 60]))
def test_any_routing_equals_stock_cocoeval(seed, levels, grid):
    rng, truth, ids, found, matches = bed(seed, levels, grid=grid)
    for routing in (rng.integers(EXITS, size=len(ids)), np.full(len(ids), EXITS - 1)):
        judge = stock(truth, composed(ids, found, routing))
        assert_equal_to_stock(accuracy(matches, routing), judge, full=True)
        assert_equal_to_stock(accuracy(matches, routing, full=False), judge, full=False)


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
    pool, times = pooled(tuple(matches)), np.bincount(draw, minlength=len(ids))
    for metric, reference in zip(("map", "map50", "map75"), judge.stats, strict=False):
        (value,) = pool.map_many(routing, times, metric=metric)
        assert (np.isnan(value) and reference == -1) or value == pytest.approx(reference, abs=1e-12)


@settings(max_examples=6)
@given(seed=st.integers(0, 2**32), levels=st.sampled_from([2, 2**20]))
def test_many_routings_and_weights_at_once_equal_one_after_the_other(seed, levels):
    rng, _, ids, _, matches = bed(seed, levels)
    pool, routings = pooled(tuple(matches)), rng.integers(EXITS, size=(7, len(ids)))
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
        assert value == pooled(tuple(matches)).map_many(routing, np.bincount(draw, minlength=len(ids)), metric=metric)
    np.testing.assert_array_equal(values, bootstrap_map(matches, routing, 20, seed=7, metric=metric))
    assert len(np.unique(values)) > 10
    twin = bootstrap_map([matches[0]], np.zeros(len(ids), int), 20, seed=7, metric=metric)
    np.testing.assert_array_equal(twin, bootstrap_map(matches, np.zeros(len(ids), int), 20, seed=7, metric=metric))


def test_nothing_found_scores_zero_and_nothing_to_find_scores_none():
    nothing = [Detections(torch.empty(0, 4), torch.empty(0), torch.empty(0, dtype=torch.int64))] * 2
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
    unboxed = [match(ground_truth({**truth, "annotations": []}), [4, 2], nothing)]
    assert accuracy(unboxed, routing).map is None
    assert accuracy(unboxed, routing, full=False).map is None
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
    odd = Detections(torch.tensor([[0.0, 0.0, torch.nan, 9.0]]), torch.tensor([0.5]), torch.tensor([1]))
    with pytest.raises(UserError, match=f"image {ids[0]}: .*not finite"):
        match(index, ids, [odd, *found[0][1:]])
    with pytest.raises(UserError, match="id 0"):
        ground_truth({**truth, "annotations": [{**truth["annotations"][0], "id": 0}]})
    stranger = Detections(torch.tensor([[0.0, 0, 9, 9]]), torch.tensor([0.5]), torch.tensor([4]))
    with pytest.raises(ValueError, match="4"):
        match(index, ids, [stranger, *found[0][1:]])
    with pytest.raises(ValueError, match="image ids"):
        match(index, [ids[0], *ids[:-1]], found[0])
    for routing in (zeros - 1, zeros + EXITS, zeros[:-1]):
        with pytest.raises(ValueError, match="routing"):
            accuracy(matches, routing)
    for times in (zeros - 1, zeros[:-1], zeros + 2**15):
        with pytest.raises(ValueError, match="times"):
            pooled(tuple(matches)).map_many(zeros, times)
    other = match(index, ids[::-1], found[0][::-1])
    with pytest.raises(ValueError, match="different images"):
        accuracy([matches[0], other], zeros)


def test_photographs(shared):
    """Real ground truth, 600 images, one class: the quick numbers are the judge's."""
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
    judged, quick = accuracy(matches, routing), accuracy(matches, routing, full=False)
    assert judged.map == stock(truth, composed(ids, found, routing)).stats[0]
    assert 0.01 < judged.map < 0.99
    for judge, engine in zip((judged.map, judged.map50), (quick.map, quick.map50), strict=True):
        assert engine == pytest.approx(judge, abs=1e-12)
    assert quick.per_class == pytest.approx(judged.per_class, abs=1e-12)
