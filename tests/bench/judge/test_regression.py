"""Gates break with a line that says what, by how much and what was allowed."""

import json
from pathlib import Path

import pytest

from bench.judge.regression import failed_checks, load_checks
from bench.records import Record
from models.errors import UserError

ROOT = Path(__file__).parents[3]
STORED = json.loads((Path(__file__).parents[2] / "support" / "record.json").read_text())


def record(strategy: str, ap: float, name: str = "", **changes) -> Record:
    return Record.model_validate({**STORED, "name": name or strategy, "strategy": strategy, "map": ap, **changes})


RUN = [
    record("baseline", 0.440, map50=0.71),
    record("quant", 0.412, map50=0.69),
    record("early_exit", 0.300, "early_exit-tol9"),
    record("early_exit", 0.430, "early_exit-tol1"),
]


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "gates.toml"
    path.write_text(text)
    return path


def test_checks_that_hold_say_nothing():
    gates = {"floor": {"baseline": {"map50": 0.70, "map": 0.44}}, "drop": {"quant": 7, "early_exit": 3}}
    assert failed_checks(RUN, gates) == []


def test_failed_checks_in_the_order_of_the_file():
    gates = {"floor": {"baseline": {"map50": 0.72}}, "drop": {"quant": 3, "early_exit": 2}}
    assert failed_checks(RUN, gates) == [
        "baseline: AP50 0.710 of baseline is below its floor 0.720",
        "quant: mAP 0.412 is 6.4 % below the baseline's 0.440; allowed 3 %",
        "early_exit: mAP 0.430 is 2.3 % below the baseline's 0.440; allowed 2 %",
    ]


def test_a_strategy_is_judged_by_its_best_record():
    assert failed_checks(RUN, {"floor": {"early_exit": {"map": 0.43}}}) == []
    assert failed_checks(RUN, {"floor": {"early_exit": {"map": 0.44}}}) == [
        "early_exit: mAP 0.430 of early_exit-tol1 is below its floor 0.440"
    ]


def test_a_drop_of_exactly_what_is_allowed_holds():
    run = [record("baseline", 0.50), record("quant", 0.485)]
    assert failed_checks(run, {"drop": {"quant": 3}}) == []
    assert len(failed_checks(run, {"drop": {"quant": 2.99}})) == 1


def test_a_strategy_the_run_lacks_breaks_its_gate():
    missing = "prune: not in this run, which has baseline, early_exit, quant"
    assert failed_checks(RUN, {"drop": {"prune": 50}, "floor": {"prune": {"map": 0}}}) == [missing, missing]


def test_a_drop_needs_a_baseline_on_the_same_runtime():
    run = [record("baseline", 0.44), record("quant", 0.44, runtime="inductor")]
    assert failed_checks(run, {"drop": {"quant": 1}}) == [
        "quant: no baseline with an mAP above 0 on inductor to measure its drop against"
    ]


def test_a_file_is_read_as_written(tmp_path):
    path = write(tmp_path, '[floor]\nbaseline.map50 = 0.7\n[drop]\nquant = 3\n"early_exit+quant" = 10\n')
    assert load_checks(path) == {
        "floor": {"baseline": {"map50": 0.7}},
        "drop": {"quant": 3, "early_exit+quant": 10},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no regression checks"),
        ("[floor]\n[drop]\n", "holds no regression checks"),
        ("[drops]\nquant = 3\n", r"unknown key 'drops' \(did you mean 'drop'\? known: floor, drop\)"),
        ("[speed]\nquant = 3\n", r"unknown key 'speed' \(known: floor, drop\)"),
        ("drop = 3\n", r"drop must be a table \(write \[drop\]\)"),
        ("[floor]\nbaseline.map05 = 0.7\n", "unknown key 'map05' .*map50"),
        ("[floor]\nbaseline = 0.7\n", "floor.baseline does not say which metric"),
        ("[floor]\nbaseline = {}\n", "floor.baseline does not say which metric"),
        ("[floor]\nbaseline.map50 = 70\n", r"floor.baseline.map50 is 70 \(a share between 0 and 1\)"),
        ('[drop]\nquant = "3 %"\n', r"drop.quant is '3 %' \(percent between 0 and 100\)"),
        ("[drop]\nquant = true\n", "drop.quant is True"),
        ("[drop]\nquant = nan\n", "drop.quant is nan"),
        ("[drop\n", "not TOML"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=rf"gates\.toml: {message}"):
        load_checks(write(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        load_checks(tmp_path / "none.toml")


def test_the_committed_checks_are_readable():
    assert load_checks(ROOT / "results" / "gates.toml")
