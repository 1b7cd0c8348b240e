"""The main job from end to end at the smallest size: what it leaves behind is complete, true and repeatable."""

import gzip
import json
import math
import shutil

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bench import pipeline
from bench.accuracy.coco import accuracy, ground_truth
from bench.data.shapes import shapes
from bench.exits.policy import Policy
from bench.exits.registry import names
from bench.judge.seeds import open_repeat
from bench.measure.exit_table import ExitTable, evaluate
from bench.measure.store import load_path_costs, load_table, stored_detectors
from bench.pipeline import open_data, run, save
from bench.records import Record, load_records
from bench.spec import RunSpec
from bench.study.stored import open_run
from bench.train.fit import Trainer
from models.errors import UserError
from tests.support.tiny import tiny

pytestmark = pytest.mark.slow  # test_cli.py goes the same way once, at less depth
BRIEFLY = {"measure.images": 2, "measure.repeats": 1}  # where what is timed is not looked at


@pytest.fixture
def folder(tiny_run):
    return tiny_run


@pytest.fixture
def copied(tiny_run, tmp_path):
    """The run's folder for a test that writes into it."""
    return shutil.copytree(tiny_run, tmp_path / "copied")


def routed(record: Record, table: ExitTable) -> np.ndarray:
    """The exit of every image of a table, by the thresholds that the record of a gate holds."""
    point = record.operating_point
    cuts = tuple(math.inf if cut is None else cut for cut in point.thresholds)
    return Policy(point.criterion, cuts).route(table.scores[point.criterion])


def medians(record: Record) -> dict[int, float]:
    """ms of each timed image, the median over its repeats."""
    times, images = np.array(record.latency_ms.samples), np.array(record.latency_ms.images)
    return {image: float(np.median(times[images == image])) for image in images.tolist()}


def test_every_strategy_has_its_rows_and_the_controls_stand_beside_them(folder):
    names = {record.name for record in load_records(folder)}
    assert {"baseline-trained", "prune-30pct", "truncate-b8-12-exit1", "truncate-b8-12-exit2"} <= names
    assert {"early_exit-b8-12-full", "early_exit-b8-12-tol1", "early_exit-b8-12-tol5"} <= names
    assert [name for name in names if "within" in name] == ["early_exit-b8-12-within1000MFLOPs"]


def test_records_carry_the_promised_keys(folder):
    text = (folder / "records" / "early_exit-b8-12-tol1.json").read_text()
    promised = "strategy variant runtime precision operating_point map map50 map75 flops_mean flops_per_exit params"
    promised += " size_mb latency_ms exit_share split_hash weights_hash seed environment"
    assert set(promised.split()) <= json.loads(text).keys()
    assert {"p50", "p90", "p99", "samples"} <= json.loads(text)["latency_ms"].keys()


def test_map_can_be_recomputed_with_pycocotools_from_what_lies_there(folder):
    with gzip.open(folder / "ground_truth.json.gz") as file:
        truth = ground_truth(json.load(file))
    for record in load_records(folder):
        with gzip.open(folder / record.detections) as file:
            rows = json.load(file)
        if not rows:
            assert record.map == 0
            continue
        judge = COCOeval(truth, COCO.loadRes(truth, rows), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
        assert judge.stats[:3] == pytest.approx([record.map, record.map50, record.map75], abs=1e-9)


def test_exits_taken_while_timing_are_the_simulated_ones(folder):
    for record in load_records(folder):
        assert record.audit["calls_leaving_elsewhere_than_simulated"] == 0
        shares = np.array(record.exit_share)
        assert record.flops_mean == pytest.approx(shares @ np.array(record.flops_per_exit))


def test_every_gate_stands_beside_its_controls(folder):
    for record in load_records(folder):
        gated = record.operating_point.criterion is not None
        assert gated == (record.random_exits is not None) == (record.oracle is not None)
        if gated:
            within = [one.map for one in record.per_exit if one.flops <= record.flops_mean]
            assert record.oracle >= max(record.map, *within) - 1e-9
            chance, best = record.random_exits, record.oracle
            gained = (record.map - chance.mean) / (best - chance.mean) if best > chance.high else None
            assert record.gate_efficiency == pytest.approx(gained)


def test_the_path_of_every_gate_was_executed_and_is_the_simulated_one(folder):
    known = {record.name: record for record in load_records(folder)}
    gated = [record for record in known.values() if record.operating_point.criterion]
    assert len(gated) >= 3
    static = ("truncate-b8-12-exit1", "truncate-b8-12-exit2", "early_exit-b8-12-full")
    times, table = [medians(known[name]) for name in static], load_table(stored_detectors(folder)[0], "test")
    for record in gated:
        found = record.execution
        assert (found.images, found.exits_differ, found.detections_differ) == (12, 0, 0)
        exits = dict(zip(table.image_ids, routed(record, table), strict=True))
        alone = np.mean([times[exits[image]][image] for image in set(record.latency_ms.images)])
        assert found.predicted_ms > alone, "looking at the image comes on top"
        low, high = record.latency_ms.mean_interval
        assert found.within == (low <= found.predicted_ms <= high)


def test_what_criteria_know_and_who_leaves_stands_in_the_records(folder):
    for record in load_records(folder):
        inner = len(record.per_exit) - 1
        asked = {(one.criterion, one.exit) for one in record.criteria}
        assert asked == {(name, exit) for name in names() for exit in range(inner)}
        gated = record.operating_point.criterion is not None
        assert bool(record.exit_profile) == gated == (record.execution is not None)
        for factor in {one.factor for one in record.exit_profile} - {"class"}:
            groups = [one for one in record.exit_profile if one.factor == factor]
            assert sum(one.images for one in groups) == record.test_images
            shares = sum(one.images * np.array(one.exit_share) for one in groups) / record.test_images
            assert shares == pytest.approx(record.exit_share)


def test_any_routing_can_be_asked_for_later_without_the_model(folder):
    (stored,) = stored_detectors(folder)
    tables, path_costs = {role: load_table(stored, role) for role in ("val", "test")}, load_path_costs(stored)
    assert stored.name == "early_exit-b8-12-eager"
    assert [len(table.image_ids) for table in tables.values()] == [8, 12]
    assert set(tables["val"].scores) == set(path_costs.criterion_costs) == set(names())
    with gzip.open(folder / "ground_truth.json.gz") as file:
        matches = evaluate(tables["test"], json.load(file))
    for record in load_records(folder):
        point = record.operating_point
        if point.criterion is not None:
            exits = routed(record, tables["test"])
            assert (np.bincount(exits, minlength=3) / 12).tolist() == list(record.exit_share)
            assert (accuracy(matches, exits, full=False).map or 0.0) == pytest.approx(record.map)


def test_two_counters_agree_on_the_flops_of_every_exit(folder):
    for record in load_records(folder):
        assert list(record.flops_per_exit) == pytest.approx(record.audit["flops_cross_check"], rel=0.01)
        assert list(record.flops_per_exit) == sorted(record.flops_per_exit)


def test_one_seed_gives_one_result(folder, tmp_path):
    again = {record.name: record for record in run(tiny(**BRIEFLY), tmp_path)}
    for record in load_records(folder):
        other = again[record.name]
        assert other.map == pytest.approx(record.map, abs=1e-6)
        assert other.exit_share == record.exit_share
        assert other.operating_point.criterion == record.operating_point.criterion
        assert other.operating_point.thresholds == record.operating_point.thresholds
        assert other.weights_hash == record.weights_hash
        assert other.split_hash == record.split_hash


def test_a_repeated_run_trains_nothing_again(copied, monkeypatch):
    def refuse(*args):
        raise AssertionError("trained again")

    before = {record.name: record.map for record in load_records(copied)}
    monkeypatch.setattr(Trainer, "_train", refuse)
    run(tiny(), copied, resume=True)
    assert {record.name: record.map for record in load_records(copied)} == before


def test_tables_of_detectors_that_are_no_longer_there_go(copied):
    (copied / "tables" / "early_exit-gone-eager").mkdir()
    save(load_records(copied), shapes(0, 24, 8, 12, size=64), copied)
    assert [path.name for path in (copied / "tables").iterdir()] == ["early_exit-b8-12-eager"]


def test_a_run_from_python_is_whole_to_whoever_opens_it(folder):
    assert RunSpec.model_validate_json((folder / "spec.json").read_text()) == tiny()
    assert open_run(folder).seed == tiny().seed
    assert open_repeat(folder, "mine").settings["measure.images"] == 6


def test_a_run_is_not_overwritten_by_another(folder):
    with pytest.raises(UserError, match="exists already"):
        run(tiny(), folder)
    with pytest.raises(UserError, match="other settings"):
        run(tiny(seed=1), folder, resume=True)


def test_other_data_is_not_mixed_into_a_run(folder):
    with pytest.raises(UserError, match="split"):
        open_data(tiny(**{"data.sizes": [24, 8, 13]}).data, folder, size=64, seed=0)


def test_a_weak_baseline_stops_the_run_unless_forced(tmp_path):
    strict = tiny(foundation=0.99, strategies=["prune"])
    with pytest.raises(UserError, match=r"under its floor of 0.99.*--force"):
        run(strict, tmp_path)
    assert not (tmp_path / "records").exists()
    forced = run(strict, tmp_path, resume=True, force=True)
    assert all(record.forced and not record.foundation.passed for record in forced)


def test_the_test_split_is_only_ever_looked_at(folder, tmp_path, monkeypatch):
    """Whatever the test images and boxes are, the same thresholds, temperatures and weights come out."""
    data, other = (shapes(seed, 24, 8, 12, size=64) for seed in (0, 1))
    mixed = type(data)(data.name, data.classes, data.train, data.val, other.test)
    monkeypatch.setattr(pipeline, "load", lambda *args, **options: mixed)
    found = {record.name: record for record in run(tiny(**BRIEFLY), tmp_path)}
    for record in load_records(folder):
        assert found[record.name].weights_hash == record.weights_hash
        assert found[record.name].operating_point.thresholds == record.operating_point.thresholds
        assert found[record.name].split_hash != record.split_hash
