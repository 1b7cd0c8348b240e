"""A record holds what was measured of every exit, on the artifact."""

import numpy as np
import pytest

from bench.accuracy.calibration import calibration_error
from bench.accuracy.coco import accuracy
from bench.measure.exit_table import evaluate
from bench.measure.latency import Timing
from bench.records import Foundation, environment
from bench.spec import read
from bench.study.recording import Recorder
from bench.study.study import AGAIN, study
from tests.support import small


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_every_exit_has_its_calibration_error_and_where_there_are_several_its_classes(tmp_path):
    asked = {"runtimes": ["eager"], "threads": 1, "strategies": ["early_exit"], "measure.resamples": 100}
    spec, data = read("smoke", None, asked), small.data()
    one = study(small.deployed(tmp_path), None, spec, data, tmp_path)
    same = Timing(np.ones(2), np.arange(2), np.zeros(2, int))
    timings = dict.fromkeys([*(point.name for point in one.points), AGAIN], same)
    foundation = Foundation(map50=0.5, floor=0.5, passed=True)
    recorder = Recorder(spec, data, foundation, environment(1), timings, {}, one.points[0].name)
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
