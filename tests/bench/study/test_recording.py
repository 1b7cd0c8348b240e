"""A record holds what was measured of every exit, on the artifact."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench.accuracy.calibration import calibration_error
from bench.accuracy.coco import accuracy
from bench.exits.learned import GATES
from bench.exits.registry import LEARNED
from bench.exits.stored import load_policy
from bench.measure.exit_table import evaluate
from bench.measure.latency import LatencySamples
from bench.records import Foundation, detector_id, environment, load_records, save
from bench.routing.reinforced import REINFORCED
from bench.spec import read
from bench.study.recording import Recorder
from bench.study.study import AGAIN, study
from models.errors import UserError
from tests.support import small


@pytest.mark.slow
def test_every_exit_has_its_calibration_error_and_where_there_are_several_its_classes(tmp_path):
    asked = {"runtimes": ["eager"], "threads": 1, "strategies": ["early_exit"], "measure.resamples": 100}
    spec, data = read("smoke", None, asked), small.data()
    one = study(small.deployed(tmp_path), None, data, spec.measure, seed=0, folder=tmp_path)
    same = LatencySamples(np.ones(2), np.arange(2), np.zeros(2, int))
    latencies = dict.fromkeys([*(point.name for point in one.points), AGAIN], same)
    foundation = Foundation(map50=0.5, floor=0.5, passed=True)
    recorder = Recorder(data, foundation, environment(1, ()), latencies, {}, one.static[0].name, 100, 0)
    exits = recorder.record(one, one.points[0]).per_exit
    matches = evaluate(one.table, data.test.coco())
    assert [exit.calibration_error for exit in exits] == [calibration_error(exit) for exit in matches]
    assert len({exit.calibration_error for exit in exits} - {None}) > 1
    for number, exit in enumerate(exits):
        known = accuracy(matches, np.full(len(data.test), number), full=False)
        assert (exit.ap_per_class, exit.ap50_per_class) == (known.per_class, known.per_class50)
        assert len(exit.ap_per_class) == len(data.classes)
    one.candidate.detector.classes = ("only",)
    alone = recorder.record(one, one.points[0]).per_exit
    assert {exit.ap_per_class for exit in alone} == {exit.ap50_per_class for exit in alone} == {None}


def test_without_a_box_to_find_there_is_no_record():
    recorder = Recorder(None, None, None, {}, {}, "baseline", 100, 0)
    nothing = SimpleNamespace(name="quant", accuracy=SimpleNamespace(map=None))
    with pytest.raises(UserError, match="quant: no box to find on the test split"):
        recorder.record(SimpleNamespace(candidate=None), nothing)


@pytest.mark.slow
def test_every_operating_point_can_be_executed_again_from_what_lies_on_disk(tmp_path):
    """By another deployment of the same weights. Thresholds of the test's own tell the images apart."""
    asked = {"measure.rl_policies": ["reinforced"], "measure.resamples": 100, "measure.warmup": 1}
    measure, data = read("smoke", None, asked).measure, small.data(test=8)
    deployed = small.deployed(tmp_path / "first", criteria=(LEARNED,))
    tables = tmp_path / "tables" / detector_id(deployed.candidate, "eager")
    one = study(deployed, None, data, measure, seed=0, folder=tables)
    times = LatencySamples(np.ones(2), np.arange(2), np.zeros(2, int))
    latencies = dict.fromkeys([*(point.name for point in one.points), AGAIN], times)
    foundation = Foundation(map50=0.5, floor=0.5, passed=True)
    recorder = Recorder(data, foundation, environment(1, ()), latencies, {}, one.static[0].name, 100, 0)
    for point in one.points:
        save(recorder.record(one, point), tmp_path)

    again = small.deployed(tmp_path / "second", criteria=(LEARNED,))

    def taken(record) -> list[int]:
        policy = load_policy(record, tmp_path)
        return [again.detect(data.test.image(index), policy).exit for index in range(len(data.test))]

    records, exits = load_records(tmp_path), {point.name: point.exits.tolist() for point in one.points}
    assert {record.operating_point.criterion for record in records} == {None, LEARNED, REINFORCED}
    for record in records:
        assert taken(record) == exits[record.name]
        point = record.operating_point
        if point.criterion:
            scores = one.table.scores[point.criterion]
            cuts = tuple(np.median(scores[:, :-1], axis=0).tolist())
            own = record.model_copy(update={"operating_point": point.model_copy(update={"thresholds": cuts})})
            expected = (scores >= [*cuts, 0]).argmax(axis=1).tolist()
            assert len(set(expected)) > 1
            assert taken(own) == expected

    gated = next(record for record in records if record.operating_point.criterion)
    (tables / GATES).write_bytes(b"PK not an archive")
    with pytest.raises(UserError, match="not the weights of gates"):
        load_policy(gated, tmp_path)
    (tables / GATES).unlink()
    with pytest.raises(UserError, match="no weights of its gates"):
        load_policy(gated, tmp_path)
    older = gated.operating_point.model_copy(update={"weights": None})
    with pytest.raises(UserError, match=f"{gated.name}: the weights of its criterion .* were not kept"):
        load_policy(gated.model_copy(update={"operating_point": older}), tmp_path)
