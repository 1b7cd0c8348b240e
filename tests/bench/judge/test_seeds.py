"""Planted runs of several seeds: their mean and spread are known, and runs that differ in more are refused."""

import json
import statistics
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from bench.judge.seeds import Moments, Repeat, moments, open_repeat, sd_factors, spread
from bench.judge.verdict import verdict
from bench.records import Record, save
from models.errors import UserError
from tests.support.made import made

SETTINGS = {"name": "x", "seed": 0, "data.source": "coco:x", "strategy.prune.epochs": 3}
NOISE = np.random.default_rng(0).normal(0, 0.004, 200)


def point(name: str, ap: float, ms: float, **changes) -> Record:
    times = ms * np.random.default_rng(7).gamma(900, 1 / 900, 20)
    speed = {"value": 3 / ms, "low": 2.9 / ms, "high": 3.1 / ms}
    return made(name, ap, ap + NOISE, times.tolist(), speed_up=speed, **changes)


def repeat(seed: int, shift: float = 0.0, slower: float = 1.0, settings=None, **changes) -> Repeat:
    """A run whose early exit stands `shift` above 0.30, and in which everything takes `slower` times as long."""
    records = (
        point("baseline", 0.40, 3.0 * slower, **changes),
        point("early_exit-tol1", 0.30 + shift, 2.5 * slower, exit_share=(0.5 - shift, 0.5 + shift), **changes),
        point("prune-30", 0.37, 2.4 * slower, **changes),
        point("resize-9", 0.10, 2.8 * slower, **changes),
    )
    named = {**SETTINGS, "name": f"run-{seed}", "seed": seed, **(settings or {})}
    return Repeat(f"run-{seed}", seed, named, records)


def row(found, name: str):
    return next(one for one in found.rows if one.name == name)


def test_means_and_spreads_are_those_planted():
    found = spread([repeat(0), repeat(1, 0.02), repeat(2, 0.04)])
    early = row(found, "early_exit-tol1")
    assert (early.map.mean, early.map.sd) == (pytest.approx(0.32), pytest.approx(0.02))
    assert early.exit_share == pytest.approx((0.48, 0.52))
    prune = row(found, "prune-30")
    assert (prune.map.mean, prune.map.sd) == (pytest.approx(0.37), pytest.approx(0, abs=1e-12))
    assert prune.map50 == Moments(pytest.approx(found.runs[0].records[2].map50), pytest.approx(0, abs=1e-12))


def test_a_slow_session_moves_no_speed_up_and_widens_the_range_of_ms():
    def slow(seed: int, slower: float) -> Repeat:
        run = repeat(seed, slower=slower)
        speeds = {one.name: one.speed_up for one in repeat(seed).records}
        kept = tuple(one.model_copy(update={"speed_up": speeds[one.name]}) for one in run.records)
        return Repeat(run.name, run.seed, run.settings, kept)

    prune = row(spread([slow(0, 1.0), slow(1, 1.5)]), "prune-30")
    assert (prune.speed_up.mean, prune.speed_up.sd) == (pytest.approx(1.25), pytest.approx(0, abs=1e-12))
    assert prune.ms[1] / prune.ms[0] == pytest.approx(1.5)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_moments_agree_with_the_standard_librarys(values):
    found = moments(values)
    assert found.mean == pytest.approx(statistics.mean(values), abs=1e-12)
    assert found.sd == pytest.approx(statistics.stdev(values), abs=1e-9)


@pytest.mark.parametrize("runs", [2, 3, 5, 20])
def test_how_uncertain_a_spread_is_follows_chi_squared(runs):
    low, high = sd_factors(runs)
    assert chi2.cdf((runs - 1) / low**2, runs - 1) == pytest.approx(0.975)
    assert chi2.cdf((runs - 1) / high**2, runs - 1) == pytest.approx(0.025)
    drawn = np.random.default_rng(runs).normal(0, 1, (4000, runs)).std(axis=1, ddof=1)
    assert np.mean((low * drawn < 1) & (drawn * high > 1)) == pytest.approx(0.95, abs=0.015)


def test_what_the_verdicts_name_comes_first_with_its_role():
    runs = [repeat(0), repeat(1)]
    found = spread(runs)
    assert [(one.name, one.role, one.named) for one in found.rows] == [
        ("baseline", "baseline", 2),
        ("early_exit-tol1", "early", 2),
        ("prune-30", "alternative", 2),
        ("resize-9", "", 0),
    ]
    assert row(found, "baseline").speed_up is None
    assert found.verdicts == tuple(verdict(run.records) for run in runs)
    assert [said.decision for said in found.verdicts] == ["NOT WORTH IT", "NOT WORTH IT"]


def test_verdicts_that_disagree_bring_all_they_name():
    other = repeat(1)
    better = point("early_exit-tol5", 0.42, 2.6, exit_share=(0.5, 0.5))
    first = Repeat("a", 0, SETTINGS, (*repeat(0).records, point("early_exit-tol5", 0.2, 2.6)))
    second = Repeat("b", 1, SETTINGS, (*other.records, better))
    roles = {one.name: (one.role, one.named) for one in spread([first, second]).rows}
    assert roles["early_exit-tol1"] == ("early", 1)
    assert roles["early_exit-tol5"] == ("early", 1)
    assert roles["baseline"] == ("baseline", 2)


def test_without_early_exit_there_is_no_verdict_and_still_a_spread():
    runs = [Repeat(one.name, one.seed, one.settings, one.records[:1] + one.records[2:]) for one in map(repeat, (0, 1))]
    found = spread(runs)
    assert [said.decision for said in found.verdicts] == [None, None]
    assert [one.role for one in found.rows] == ["baseline", "", ""]


def test_names_that_not_all_runs_have_are_set_aside():
    more = repeat(1)
    more = Repeat(more.name, 1, more.settings, (*more.records, point("quant-int8-aware", 0.36, 2.0)))
    found = spread([repeat(0), more, repeat(2)])
    assert found.partial == {"quant-int8-aware": ("run-1",)}
    assert "quant-int8-aware" not in {one.name for one in found.rows}


def test_runtimes_stay_together_the_one_of_the_verdicts_first():
    def both(seed: int) -> Repeat:
        slow = [point(f"{one.name}-eager", one.map, 30.0, runtime="eager") for one in repeat(seed).records[::3]]
        fast = [one.model_copy(update={"name": f"{one.name}-openvino"}) for one in repeat(seed).records]
        slow = [one.model_copy(update={"strategy": one.name.split("-")[0]}) for one in slow]
        return Repeat(f"run-{seed}", seed, SETTINGS, (*slow, *fast))

    rows = spread([both(0), both(1)]).rows
    assert [one.runtime for one in rows] == ["openvino"] * 4 + ["eager"] * 2
    assert [one.name for one in rows if one.speed_up is None] == ["baseline-openvino", "baseline-eager"]


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([repeat(0)], "1 run, two or more are needed"),
        ([repeat(0), repeat(1), repeat(0)], "run-0: has seed 0, as run-0 has"),
        (
            [repeat(0), repeat(1, settings={"strategy.prune.epochs": 5})],
            "run-1: strategy.prune.epochs is 5, but 3 in run-0",
        ),
        (
            [repeat(0), repeat(1, settings={"threads": 2, "batch_size": 3})],
            r"threads is 2, but None in run-0; batch_size differs too",
        ),
        ([repeat(0), repeat(1, split_hash="0" * 64)], "measured on test split 000000000000, but run-0 on 3f2a91bc04de"),
        ([repeat(0), repeat(1, splits={"train": "0" * 64})], "measured on train split 000000000000"),
        (
            [
                repeat(0, settings={"data.source": "shapes"}),
                repeat(1, settings={"data.source": "shapes"}, split_hash="0"),
            ],
            "the seed draws shapes too",
        ),
    ],
)
def test_what_is_not_a_repetition_is_refused(runs, message):
    with pytest.raises(UserError, match=message):
        spread(runs)


def test_where_images_and_weights_lie_does_not_matter():
    one, other = ({"data.source": f"coco:{at}/data", "model.weights": f"{at}/stock.pth"} for at in ("here", "there"))
    assert len(spread([repeat(0, settings=one), repeat(1, settings=other)]).rows) == 4
    with pytest.raises(UserError, match=r"model.weights is 'mine\.pth', but 'stock\.pth' in run-0"):
        spread([repeat(0, settings=one), repeat(1, settings={**one, "model.weights": "here/mine.pth"})])


def test_runs_that_share_no_name_are_refused():
    other = repeat(1)
    records = tuple(one.model_copy(update={"name": f"{one.name}-x"}) for one in other.records)
    with pytest.raises(UserError, match="the runs share no record"):
        spread([repeat(0), Repeat("other", 1, other.settings, records)])


def stored(folder: Path, spec: str) -> Path:
    save(point("baseline", 0.4, 3.0), folder)
    (folder / "spec.json").write_text(spec)
    return folder


def test_a_stored_run_is_read_with_its_settings_dotted(tmp_path):
    late = {"epochs": 8, "late": {"after": [10, 12]}}
    folder = stored(tmp_path, json.dumps({"name": "x", "seed": 4, "strategy": {"early_exit": late}}))
    run = open_repeat(folder, "mine")
    assert (run.name, run.seed, [one.name for one in run.records]) == ("mine", 4, ["baseline"])
    assert run.settings["strategy.early_exit.epochs"] == 8
    assert run.settings["strategy.early_exit.late.after"] == [10, 12]


def test_keys_by_older_names_are_the_same_settings(tmp_path):
    told = {"batch": 16, "data": {"cap": 5}, "strategy": {"prune": {"rate": 0.1, "late": {"decay": 0.5}}}}
    said = {
        "batch_size": 16,
        "data": {"max_images_per_class": 5},
        "strategy": {"prune": {"learning_rate": 0.1, "late": {"layer_decay": 0.5}}},
    }
    older, newer = (
        open_repeat(stored(tmp_path / name, json.dumps({"seed": seed, **spec})), name)
        for seed, (name, spec) in enumerate({"older": told, "newer": said}.items())
    )
    assert {**older.settings, "seed": 1} == newer.settings
    assert len(spread([older, newer]).rows) == 1


@pytest.mark.parametrize("spec", ["{", "[]", "{}", '{"seed": null}'])
def test_a_broken_spec_is_one_clear_line(tmp_path, spec):
    with pytest.raises(UserError, match=r"spec\.json: not (JSON|the spec of a run)"):
        open_repeat(stored(tmp_path, spec), "mine")


def test_a_missing_run_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match="no such run"):
        open_repeat(tmp_path / "none", "mine")
