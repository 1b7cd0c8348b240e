"""The schema refuses records that contradict themselves, and the store never leaves half a file."""

import errno
import json
import os
import statistics
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.records import Record, baseline_of, environment, load_records, same_split, save
from models.errors import UserError

STORED = json.loads((Path(__file__).parents[1] / "support" / "record.json").read_text())


def record(name: str = "early_exit-tol2", **changes) -> Record:
    return Record.model_validate({**STORED, "name": name, **changes})


def latency(**changes) -> dict:
    return {"latency_ms": {**STORED["latency_ms"], **changes}}


def at(ms: float) -> dict:
    same = dict.fromkeys(("mean", "p50", "p90", "p99"), ms) | dict.fromkeys(("mean_interval", "p50_interval"), (ms, ms))
    return latency(**same, samples=[ms], images=[1])


def test_a_stored_record_of_this_version_still_loads():
    assert json.loads(record().model_dump_json()) == STORED


def test_a_record_from_before_the_oracle_still_loads():
    older = {key: value for key, value in STORED.items() if key not in ("oracle", "gate_efficiency")}
    assert Record.model_validate(older) == record()


def test_a_record_from_before_calibration_and_classes_of_exits_still_loads():
    new = ("calibration_error", "ap_per_class", "ap50_per_class")
    older = [{key: value for key, value in one.items() if key not in new} for one in STORED["per_exit"]]
    first, last = record(per_exit=older).per_exit
    assert {getattr(one, key) for one in (first, last) for key in new} == {None}
    assert first.map == STORED["per_exit"][0]["map"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"map": 1.2}, "less than or equal to 1"),
        ({"map": float("nan")}, "finite number"),
        ({"ap_small": -0.1}, "greater than or equal to 0"),
        ({"oracle": 1.2}, "less than or equal to 1"),
        ({"gate_efficiency": float("inf")}, "finite number"),
        ({"exit_share": [0.5, 0.4]}, "exit_share sums to 0.9"),
        ({"exit_share": [1.0]}, "differ in length"),
        ({"flops_per_exit": [214_000_000]}, "differ in length"),
        ({"flops_mean": 900e6}, "outside flops_per_exit"),
        ({"per_exit": STORED["per_exit"][::-1]}, "in order"),
        ({"per_exit": [STORED["per_exit"][0] | {"calibration_error": 1.2}]}, "less than or equal to 1"),
        ({"map_interval": [0.43, 0.40]}, "not \\(low, high\\)"),
        ({"map_bootstrap": []}, "at least 1 item"),
        ({"detections": "/tmp/found.json.gz"}, "relative to the run"),
        ({"name": "../evil"}, "match pattern"),
        ({"name": ".hidden"}, "match pattern"),
        ({"speed": 3}, "Extra inputs"),
        ({"flops_unit": "two"}, "one multiply-add"),
        (
            {"operating_point": {**STORED["operating_point"], "thresholds": [0.1, 0.2]}},
            "2 thresholds for 2 exits",
        ),
        (latency(samples=[1.0, -2.0], images=[1, 2]), "greater than 0"),
        (latency(images=[1]), "24 samples but 1 image ids"),
        (latency(mean=99.0), "do not fit the samples"),
        (latency(p99_interval=[1.0, 2.0]), "p99 lies outside its interval"),
        (latency(p50=STORED["latency_ms"]["p99"], p90=STORED["latency_ms"]["p50"]), "do not fit the samples"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        record(**changes)


def test_records_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        record().map = 0.9


def test_every_key_is_documented():
    schema = Record.model_json_schema()
    models = {"Record": schema, **schema["$defs"]}
    keys = {(name, key): value for name, model in models.items() for key, value in model.get("properties", {}).items()}
    assert ("Latency", "p90") in keys
    assert not [key for key, value in keys.items() if not value.get("description")]


@given(st.lists(st.floats(1e-7, 1e4), min_size=1, max_size=20))
def test_samples_are_rounded_but_stay_positive(samples):
    mean = sorted(samples)[len(samples) // 2]
    same = dict.fromkeys(("mean", "p50", "p90", "p99"), mean)
    same |= dict.fromkeys(("mean_interval", "p50_interval"), (mean, mean))
    kept = record(**latency(samples=samples, images=[0] * len(samples), **same))
    for given_ms, kept_ms in zip(samples, kept.latency_ms.samples, strict=True):
        assert kept_ms > 0
        assert abs(kept_ms - given_ms) <= 1.01e-5
        assert len(repr(kept_ms).partition(".")[2]) <= 5


def test_what_is_saved_is_loaded_and_nothing_else_lies_there(tmp_path):
    one = record()
    path = save(one, tmp_path / "run")
    assert path == tmp_path / "run" / "records" / "early_exit-tol2.json"
    assert load_records(tmp_path / "run") == [one]
    assert os.listdir(path.parent) == [path.name]


def test_the_baseline_comes_first_then_strategies_by_latency(tmp_path):
    for name, strategy, ms in [
        ("q", "quant", 1),
        ("a-slow", "adapt", 9),
        ("a-fast", "adapt", 2),
        ("b", "baseline", 5),
    ]:
        save(record(name, strategy=strategy, **at(ms)), tmp_path)
    assert [r.name for r in load_records(tmp_path)] == ["b", "a-fast", "a-slow", "q"]


def test_a_full_disk_names_the_file_and_keeps_the_old_one(tmp_path, monkeypatch):
    path = save(record(), tmp_path)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"records/early_exit-tol2\.json.*space"):
        save(record(map=0.1), tmp_path)
    monkeypatch.undo()
    assert load_records(tmp_path) == [record()]
    assert os.listdir(path.parent) == [path.name]


def test_a_missing_run_is_told_its_neighbours(tmp_path):
    for run in ("person-ssdlite", "shapes"):
        save(record(), tmp_path / run)
    with pytest.raises(UserError, match=r"no such run.*did you mean 'person-ssdlite'\? .*person-ssdlite, shapes"):
        load_records(tmp_path / "person-ssdlit")
    with pytest.raises(UserError, match="no run there yet"):
        load_records(tmp_path / "nowhere" / "x")


def test_a_folder_without_records_is_no_run(tmp_path):
    with pytest.raises(UserError, match="holds no records"):
        load_records(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema_version": 2, "na', "not JSON"),
        ("[]", "schema version None, this program reads 1 to 3"),
        (json.dumps({**STORED, "schema_version": 0}), "schema version 0, this program reads 1 to 3"),
        (json.dumps({**STORED, "schema_version": 4}), "written by a newer version: its schema is 4, .* up to 3"),
        ('{"schema_version": 2}', "not a record of schema 2: 'latency_ms'"),
        ('{"schema_version": 2, "latency_ms": 3}', "not a record of schema 2: "),
        (json.dumps({**STORED, "map": "high"}), "not a record: map: .*valid number"),
        (json.dumps({**STORED, "map": float("nan")}), "not a record: map: .*finite"),
        (json.dumps({**STORED, "name": "other"}), "holds the record other, not broken"),
    ],
)
def test_a_broken_file_is_named(tmp_path, text, message):
    save(record(), tmp_path)
    (tmp_path / "records" / "broken.json").write_text(text)
    with pytest.raises(UserError, match=rf"records/broken\.json: {message}"):
        load_records(tmp_path)


def as_of_schema(version: int) -> dict:
    """The stored record without what came later, each image timed three times, its mean that of all samples."""
    later = {1: ("p50_interval", "p90_interval", "p99_interval", "warmup", "steady"), 2: ()}[version]
    times = {key: value for key, value in STORED["latency_ms"].items() if key not in (*later, "mean_interval")}
    times |= {"mean": statistics.mean(times["samples"]), "images": [k // 3 for k in range(len(times["samples"]))]}
    new = ("execution", "criteria", "exit_profile", "alarms", *(("throughput",) if version == 1 else ()))
    older = {key: value for key, value in STORED.items() if key not in new}
    return {**older, "schema_version": version, "latency_ms": times}


@pytest.mark.parametrize("version", [1, 2])
def test_records_of_older_schemas_are_upgraded_as_they_are_read(tmp_path, version):
    """The mean has been one over images since schema 3, of each image's median; what was not measured is not there."""
    older = as_of_schema(version)
    path = tmp_path / "records" / "early_exit-tol2.json"
    path.parent.mkdir()
    path.write_text(json.dumps(older))
    (found,) = load_records(tmp_path)
    assert json.loads(path.read_text()) == older
    samples, images = older["latency_ms"]["samples"], older["latency_ms"]["images"]
    repeats = [[ms for ms, image in zip(samples, images, strict=True) if image == one] for one in set(images)]
    mean = statistics.mean(map(statistics.median, repeats))
    assert mean != pytest.approx(older["latency_ms"]["mean"], rel=1e-4)
    assert found.latency_ms.mean == pytest.approx(mean)
    low, high = found.latency_ms.mean_interval
    assert low < mean < high
    assert (found.execution, found.criteria, found.exit_profile, found.alarms) == (None, (), (), ())
    assert found.schema_version == 3
    assert found.latency_ms.samples == record().latency_ms.samples
    assert found.latency_ms.p99_interval == (None if version == 1 else record().latency_ms.p99_interval)
    assert (found.throughput is None) is (version == 1)
    save(found, tmp_path)
    assert load_records(tmp_path) == [found]


def test_keys_that_changed_their_names_are_read_under_the_old_ones():
    checked = {"images": 9, "exits_differ": 0, "detections_differ": 0, "predicted_ms": 2.0, "within": True}
    kinds = [{"factor": "objects", "group": "few", "images": 4, "exit_share": [0.5, 0.5]}]
    older = {key: value for key, value in STORED.items() if key not in ("execution", "exit_profile", "throughput")}
    first_names = {"truth": checked, "leavers": kinds, "offline": STORED["throughput"]}
    found = Record.model_validate({**older, **first_names})
    assert found == record(execution=checked, exit_profile=kinds)
    assert found.execution.predicted_ms == 2.0
    assert found.exit_profile[0].group == "few"
    assert found.throughput.batch == STORED["throughput"]["batch"]


@pytest.mark.parametrize(("name", "promised"), [("risk2", True), ("tol2", False)])
def test_records_that_did_not_say_whether_they_are_promises_did_by_name(tmp_path, name, promised):
    point = {key: value for key, value in STORED["operating_point"].items() if key != "promise"} | {"name": name}
    path = tmp_path / "records" / "early_exit-tol2.json"
    path.parent.mkdir()
    path.write_text(json.dumps({**STORED, "operating_point": point}))
    assert load_records(tmp_path)[0].operating_point.promise is promised
    path.write_text(json.dumps({**STORED, "operating_point": {**point, "promise": not promised}}))
    assert load_records(tmp_path)[0].operating_point.promise is not promised


def test_other_test_splits_never_share_a_table():
    same_split([record("a"), record("b")])
    with pytest.raises(UserError, match=r"b: measured on test split beefbeef.*a on 3f2a"):
        same_split([record("a"), record("b", split_hash="beefbeef" * 8)])


def test_the_baseline_is_the_fp32_one_of_the_same_runtime():
    rows = [
        record("e", strategy="early_exit"),
        record("b8", strategy="baseline", precision="int8"),
        record("bi", strategy="baseline", runtime="inductor"),
        record("b", strategy="baseline"),
    ]
    assert baseline_of(rows, "openvino").name == "b"
    assert baseline_of(rows, "inductor").name == "bi"
    assert baseline_of(rows, "eager") is None


def test_environment_outside_a_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = environment(threads=3)
    assert (found.threads, found.git_commit, found.dirty) == (3, None, None)
    assert found.cpu
    assert {"torch", "torchvision", "numpy", "pycocotools"} <= found.libraries.keys()


def test_environment_without_git_at_all(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert environment(threads=1).git_commit is None


def test_environment_in_a_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    clean = environment(threads=1)
    assert len(clean.git_commit) == 40
    assert clean.dirty is False
    Path("new.txt").write_text("x")
    assert environment(threads=1).dirty is True
