"""A sweep tells from the stored tables alone what a run would: accuracies are the judge's, what is planted is found,
and what is broken is one line."""

import gzip
import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.accuracy.coco import accuracy
from bench.exits.policy import Policy
from bench.measure.store import load_path_costs, load_table, save_path_costs, save_table
from bench.records import load_records
from bench.study.stored import MatchedTable, matched_table, open_run
from bench.study.sweep import Sweep, sweeps
from models.errors import UserError
from tests.support.stored import DETECTOR, PATH_COSTS, stored_run

ASKED = {"budgets": ["2ms", "0.5ms", "150MFLOPs"], "tolerances": [0.02, 0.1], "risks": [0.05, 0.01]}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return stored_run(tmp_path_factory.mktemp("runs"), **ASKED)


@pytest.fixture(scope="module")
def found(run) -> Sweep:
    (only,) = sweeps(run)
    return only


@pytest.fixture(scope="module")
def on_test(run) -> MatchedTable:
    return matched_table(open_run(run), run / "tables" / DETECTOR, "test")


def routed(one, on_test: MatchedTable) -> np.ndarray:
    if one.criterion is None:
        return np.full(len(on_test.table.image_ids), one.share.index(1.0))
    thresholds = tuple(math.inf if cut is None else cut for cut in one.thresholds)
    return Policy(one.criterion, thresholds).route(on_test.table.scores[one.criterion])


def test_accuracies_are_those_of_the_judge(found, on_test):
    for one in found.points:
        judged = accuracy(on_test.matches, routed(one, on_test))
        assert (one.map, one.map50) == pytest.approx((judged.map, judged.map50), abs=1e-9)
        sizes = (judged.ap_small, judged.ap_medium, judged.ap_large)
        assert (one.small, one.medium, one.large) == pytest.approx(sizes, abs=1e-9)
        assert one.low <= one.map <= one.high


def test_costs_are_arithmetic_on_the_test_shares(found, on_test):
    for one in found.points:
        share = np.bincount(routed(one, on_test), minlength=3) / len(on_test.table.image_ids)
        assert one.share == pytest.approx(tuple(share))
        assert one.flops == pytest.approx(share @ PATH_COSTS.flops)
        looks = 0 if one.criterion is None else 0.01 * (one.share[0] + one.share[1]) + 0.02 * (1 - one.share[0])
        assert 0 <= one.ms - share @ PATH_COSTS.ms <= looks + 0.02 * one.share[2] + 1e-12
    assert found.limit == 3.0


def test_what_was_asked_for_is_kept_on_val_and_the_impossible_is_said(found, run):
    points = {one.name: one for one in found.points}
    val = matched_table(open_run(run), run / "tables" / DETECTOR, "val")
    assert points["tol2"].val_map >= 0.98 * points["full"].val_map
    assert points["tol10"].val_map >= 0.9 * points["full"].val_map
    assert points["tol10"].ms < points["tol2"].ms
    for name, most in (("within2ms", 2.0), ("within150MFLOPs", 150e6)):
        one = points[name]
        share = np.bincount(routed(one, val), minlength=3) / len(val.table.image_ids)
        assert share @ (PATH_COSTS.ms if most == 2.0 else PATH_COSTS.flops) <= most
    assert [line.split(":")[0] for line in found.out_of_reach] == ["no gate is within 0.5ms"]
    assert "1.01 ms" in found.out_of_reach[0]
    assert "within0.5ms" not in points


def test_frontier_rises_on_val_and_the_static_exits_stand_beside_it(found):
    kinds = [one.kind for one in found.points]
    assert kinds == sorted(kinds, key=["static", "frontier", "tolerance", "budget"].index)
    assert [one.name for one in found.points if one.kind == "static"] == ["exit1", "exit2", "full"]
    on_val = [one.val_map for one in found.points if one.kind == "frontier"]
    assert len(on_val) > 2
    assert on_val == sorted(on_val)


def test_the_criterion_that_knows_is_found_and_beats_chance(found):
    areas = {(one.criterion, one.exit): one.value for one in found.criteria}
    for exit in (0, 1):
        assert areas["max_score", exit] > 0.85
        assert areas["margin", exit] == pytest.approx(1 - areas["max_score", exit])
        assert 0.3 < areas["agreement", exit] < 0.7
    gates = [one for one in found.points if one.criterion and 0.2 < max(one.share) < 0.7]
    assert gates
    for one in gates:
        assert one.criterion == "max_score"
        assert one.random.mean < one.map <= one.oracle + 1e-12
        assert 0 < one.efficiency <= 1 + 1e-9
    assert any(one.map > one.random.high for one in gates)


def test_controls_belong_to_gates_alone(found):
    for one in found.points:
        assert (one.random is None) == (one.oracle is None) == (one.kind == "static")


def test_leavers_are_those_of_the_example(found):
    example = next(one for one in found.points if one.name == found.example)
    sizes = [one for one in found.exit_profile if one.factor == "object size"]
    shares = sum(np.array(one.exit_share) * one.images for one in sizes) / found.test_images
    assert shares == pytest.approx(np.array(example.share))


def test_promises_of_the_run_are_repeated_with_what_is_lost_on_test(found):
    assert [one.name for one in found.promises] == ["risk5"]
    assert found.unkept == ("risk1",)
    assert 0 <= found.promises[0].lost < 0.5
    assert found.promises[0].map == 0.4


def test_one_seed_gives_one_sweep(found, run):
    assert sweeps(run) == [found]


def test_cheap_in_flops_by_one_criterion(run):
    (found,) = sweeps(run, cost="flops", criteria=["agreement"], budgets=["1GFLOPs"], tolerances=[1.0])
    assert {one.criterion for one in found.points} == {None, "agreement"}
    assert {one.criterion for one in found.criteria} == set(found.curves) == {"agreement"}
    points = {one.name: one for one in found.points}
    assert "tol2" not in points
    assert points["tol100"].flops == PATH_COSTS.flops[0]
    assert points["within1GFLOPs"].val_map == max(one.val_map for one in found.points)


def test_an_unhealthy_table_and_a_collapsed_gate_raise_alarms(run, tmp_path):
    folder = copied(run, tmp_path) / "tables" / DETECTOR
    table = load_table(folder, "test")
    save_table(replace(table, health=table.health | {"spread": np.zeros((80, 3))}), folder)
    (found,) = sweeps(tmp_path / "made", tolerances=[0.0, 1.0])
    assert any("exit 1 gives all anchors nearly the same score" in line for line in found.alarms)
    points = {one.name: one for one in found.points}
    assert "the gate has collapsed" in points["tol100"].alarms[0]
    assert not points["front1"].alarms


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"detector": "early_exit-b8-12-opnvino"}, "did you mean 'early_exit-b8-12-openvino'"),
        ({"criteria": ["max_scor"]}, "did you mean 'max_score'"),
        ({"criteria": ["learned"]}, "unknown criterion 'learned'"),
        ({"budgets": ["3 kg"]}, "3ms, 250MFLOPs"),
        ({"tolerances": [2.0]}, "no tolerance"),
        ({"cost": "flop"}, "did you mean 'flops'"),
    ],
)
def test_mistakes_say_what_to_do(run, options, expected):
    with pytest.raises(UserError, match=expected):
        sweeps(run, **options)


def copied(run: Path, folder: Path) -> Path:
    return Path(shutil.copytree(run, folder / "made"))


def other_ids(run: Path) -> None:
    truth = json.loads(gzip.decompress((run / "ground_truth.json.gz").read_bytes()))
    truth["images"].pop()
    kept = {image["id"] for image in truth["images"]}
    truth["annotations"] = [box for box in truth["annotations"] if box["image_id"] in kept]
    (run / "ground_truth.json.gz").write_bytes(gzip.compress(json.dumps(truth).encode()))


def other_labels(run: Path) -> None:
    truth = json.loads(gzip.decompress((run / "ground_truth_val.json.gz").read_bytes()))
    truth["categories"][0]["id"] = 7
    for box in truth["annotations"]:
        box["category_id"] = 7
    (run / "ground_truth_val.json.gz").write_bytes(gzip.compress(json.dumps(truth).encode()))


def fewer_path_costs(run: Path) -> None:
    path_costs = load_path_costs(run / "tables" / DETECTOR)
    save_path_costs(replace(path_costs, ms=path_costs.ms[:2]), run / "tables" / DETECTOR)


def other_split(run: Path) -> None:
    save_table(replace(load_table(run / "tables" / DETECTOR, "val"), split_hash="d" * 64), run / "tables" / DETECTOR)


def cut(name: str):
    def half(run: Path) -> None:
        path = run / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return half


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda run: shutil.rmtree(run), "no such run"),
        (lambda run: shutil.rmtree(run / "tables"), "strategy with exits"),
        (lambda run: (run / "spec.json").unlink(), "spec.json"),
        (lambda run: (run / "ground_truth_val.json.gz").unlink(), "no ground truth"),
        (lambda run: (run / "tables" / DETECTOR / "test.npz").unlink(), "no exit table"),
        (cut(f"tables/{DETECTOR}/val.npz"), "not an exit table"),
        (cut("ground_truth.json.gz"), "not ground truth"),
        (cut("spec.json"), "not (JSON|the spec)"),
        (other_ids, "image ids are not those of ground_truth.json.gz"),
        (other_labels, "does not fit ground_truth_val.json.gz"),
        (fewer_path_costs, "do not belong together"),
        (other_split, "another split than the records"),
    ],
)
def test_what_is_missing_or_broken_is_one_line(run, tmp_path, spoil, expected):
    folder = copied(run, tmp_path)
    spoil(folder)
    with pytest.raises(UserError, match=expected) as caught:
        sweeps(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_no_runtime_and_no_model_is_loaded(run):
    code = f"""
import sys
from pathlib import Path
for name in ("openvino", "onnxruntime", "nncf", "torchvision", "strategies.early_exit", "models.ssdlite.network"):
    sys.modules[name] = None
import bench.study.sweep
bench.study.sweep.sweeps(Path({str(run)!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_policies_of_a_real_run_reach_what_its_records_say(tiny_run):
    (found,) = sweeps(tiny_run)
    points = {one.name: one for one in found.points}
    compared = set()
    for record in load_records(tiny_run):
        made = record.operating_point
        if len(record.per_exit) > 1 and made.name in points:
            one = points[made.name]
            assert (one.criterion, one.thresholds) == (made.criterion, made.thresholds)
            assert (one.map, one.map50) == pytest.approx((record.map, record.map50), abs=1e-9)
            assert (one.low, one.high) == pytest.approx(record.map_interval, abs=1e-9)
            assert one.share == pytest.approx(record.exit_share)
            assert one.flops == pytest.approx(record.flops_mean)
            compared.add(made.name)
    assert compared == {"exit1", "exit2", "full", "tol1", "tol5", "within1000MFLOPs"}
    assert [one.name for one in found.promises] == ["risk90"]
