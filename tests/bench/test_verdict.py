"""Verdicts on planted truths: detectors whose accuracy is the mean of made-up scores of the test images."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records import Record
from bench.stats import interval, resample
from bench.verdict import frontier, is_early, on_frontier, verdict
from models.errors import UserError

STORED = json.loads((Path(__file__).parent / "report" / "record.json").read_text())
SHARED = np.random.default_rng(0).normal(0, 0.2, 600)  # easy and hard images, for every detector alike
DRAWS = resample(600, 800, seed=1)


def record(name: str, ap: float, ms: float, noise: float = 0.05, **changes) -> Record:
    """A detector with mAP `ap` exactly, which differs from another by `noise` per image."""
    scores = SHARED + np.random.default_rng(sum(map(ord, name))).normal(0, noise, 600)
    scores += ap - scores.mean()
    replicates = scores[DRAWS].mean(axis=1)
    same = dict.fromkeys(("mean", "p50", "p90", "p99"), ms) | {"p50_interval": [ms, ms], "samples": [ms], "images": [1]}
    latency = {**STORED["latency_ms"], **same}
    own = {
        "name": name,
        "strategy": name.partition("-")[0],
        "map": ap,
        "map_bootstrap": replicates.tolist(),
        "map_interval": interval(replicates),
        "latency_ms": latency,
    }
    return Record.model_validate({**STORED, **own, **changes})


OTHERS = [record("baseline", 0.50, 4.0), record("quant", 0.30, 2.0)]


def test_clearly_worth_it():
    found = verdict([*OTHERS, record("early_exit-a", 0.45, 3.0)])
    assert found.decision == "WORTH IT"
    assert found.difference == pytest.approx(0.05)
    assert 0 < found.low < 0.05 < found.high
    assert found.probability > 0.99
    assert found.against == "quant and baseline"
    assert found.images_needed is None
    assert found.sentence == (
        "WORTH IT: at 3.00 ms early_exit-a has mAP 0.450, 0.050 above the line between quant and baseline "
        f"(95 % interval {found.low:.3f} to {found.high:.3f}, 600 test images)."
    )


def test_clearly_not_worth_it():
    found = verdict([*OTHERS, record("early_exit-a", 0.35, 3.0)])
    assert found.decision == "NOT WORTH IT"
    assert found.low < -0.05 < found.high < 0
    assert found.sentence.startswith("NOT WORTH IT: at 3.00 ms early_exit-a has mAP 0.350, 0.050 below the line")


def test_an_exact_tie_is_undecided_whatever_the_number_of_images():
    found = verdict([*OTHERS, record("early_exit-a", 0.40, 3.0)])
    assert (found.decision, found.difference, found.images_needed) == ("UNDECIDED", 0, None)
    assert "level with the line" in found.sentence


def test_a_small_difference_says_how_many_images_would_decide():
    found = verdict([*OTHERS, record("early_exit-a", 0.401, 3.0)])
    assert found.decision == "UNDECIDED"
    reach = (found.difference - found.low) / found.difference
    assert found.images_needed == pytest.approx(600 * reach**2, rel=0.05)
    assert f"about {found.images_needed:,} would decide" in found.sentence


def test_the_rival_is_interpolated_replicate_by_replicate():
    early = record("early_exit-a", 0.40, 2.5)
    found = verdict([*OTHERS, early])
    baseline, quant = (np.array(r.map_bootstrap) for r in OTHERS)
    expected = np.quantile(np.array(early.map_bootstrap) - (0.75 * quant + 0.25 * baseline), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert found.difference == pytest.approx(0.40 - 0.35)


def test_at_the_latency_of_another_record_it_is_the_only_rival():
    found = verdict([*OTHERS, record("early_exit-a", 0.40, 2.0)])
    assert (found.against, found.difference) == ("quant", pytest.approx(0.1))


def test_a_dominated_record_is_no_rival():
    found = verdict([*OTHERS, record("prune-30", 0.2, 2.9), record("early_exit-a", 0.45, 3.0)])
    assert found.against == "quant and baseline"


def test_slower_than_every_other_the_rival_is_the_best_of_them():
    others = [record("baseline", 0.50, 4.0), record("quant", 0.52, 2.0)]
    found = verdict([*others, record("early_exit-a", 0.45, 3.0)])
    assert (found.decision, found.against) == ("NOT WORTH IT", "quant")


def test_faster_and_less_accurate_than_every_other_is_a_trade_that_no_image_decides():
    found = verdict([*OTHERS, record("early_exit-a", 0.25, 1.6)])
    assert (found.decision, found.images_needed, found.against) == ("UNDECIDED", None, "quant")
    assert found.speed_ratio == pytest.approx(2.0 / 1.6)
    assert "at 1.60 ms, faster than any other, early_exit-a" in found.sentence
    assert "0.050 below quant at 2.00 ms" in found.sentence


def test_faster_and_more_accurate_than_the_fastest_other_is_worth_it():
    found = verdict([*OTHERS, record("early_exit-a", 0.40, 1.5)])
    assert (found.decision, found.against) == ("WORTH IT", "quant")
    assert found.speed_ratio == pytest.approx(3.0 / 1.5)
    assert found.at_equal_map == "At the mAP of early_exit-a the others take 2.00 times as long."


def test_speed_at_equal_map_can_favour_the_others_or_have_no_answer():
    losing = verdict([*OTHERS, record("early_exit-a", 0.35, 3.0)])
    assert losing.speed_ratio == pytest.approx(2.5 / 3.0)
    assert losing.at_equal_map == "At the mAP of early_exit-a the others are 1.20 times as fast."
    assert verdict([*OTHERS, record("early_exit-a", 0.55, 3.0)]).speed_ratio is None


def test_the_best_point_speaks_and_pays_for_the_choice():
    early = record("early_exit-a", 0.45, 3.0)
    alone = verdict([*OTHERS, early])
    chosen = verdict([*OTHERS, early, *(record(f"early_exit+quant-{i}", 0.31, 2.5) for i in range(4))])
    assert (chosen.early, chosen.points) == ("early_exit-a", 5)
    assert chosen.low < alone.low < alone.high < chosen.high
    rival = np.mean([r.map_bootstrap for r in OTHERS], axis=0)
    expected = np.quantile(np.array(early.map_bootstrap) - rival, [0.005, 0.995])
    assert (chosen.low, chosen.high) == pytest.approx(tuple(expected))
    assert "over 5 points" in chosen.sentence


def test_points_no_faster_than_the_baseline_count_only_when_there_is_no_other():
    slow = record("early_exit-slow", 0.60, 4.5)
    found = verdict([*OTHERS, slow, record("multi_exit_yolos-fast", 0.45, 3.0)])
    assert (found.early, found.points) == ("multi_exit_yolos-fast", 1)
    assert verdict([*OTHERS, slow]).early == "early_exit-slow"


def test_only_records_of_one_runtime_are_compared():
    elsewhere = record("quant-eager", 0.9, 1.0, strategy="quant", runtime="eager")
    found = verdict([*OTHERS, elsewhere, record("early_exit-a", 0.45, 3.0)])
    assert found.decision == "WORTH IT"
    assert found.speed_ratio == pytest.approx(3.5 / 3.0)
    alone = verdict([elsewhere, record("early_exit-a", 0.45, 3.0)])
    assert alone.decision is None
    assert alone.sentence.startswith("No verdict")


def test_slower_than_the_baseline_and_no_better_is_not_worth_it():
    slower = {"value": 0.8, "low": 0.78, "high": 0.82}
    found = verdict([*OTHERS, record("early_exit-a", 0.50, 5.0, speed_up=slower)])
    assert found.decision == "NOT WORTH IT"
    assert "no early-exit point is faster than the baseline" in found.sentence
    assert verdict([*OTHERS, record("early_exit-a", 0.60, 5.0, speed_up=slower)]).decision == "WORTH IT"
    unclear = {"value": 0.99, "low": 0.97, "high": 1.01}
    assert verdict([*OTHERS, record("early_exit-a", 0.50, 4.01, speed_up=unclear)]).decision == "UNDECIDED"


def test_early_exit_is_judged_where_the_fastest_point_keeps_the_accuracy():
    here = [record("baseline", 0.50, 4.0), record("early_exit-a", 0.45, 3.0)]
    other = {"runtime": "onnxruntime"}
    there = [record("baseline-o", 0.50, 3.9, strategy="baseline", **other), record("quant-o", 0.40, 1.0, **other)]
    there.append(record("early_exit-o", 0.49, 3.0, strategy="early_exit", **other))
    assert verdict([*here, *there]).early == "early_exit-o"
    assert verdict([*here, record("quant", 0.495, 2.0), *there]).early == "early_exit-a"


def test_early_exit_is_not_judged_on_a_slow_runtime():
    slow = [record("baseline-eager", 0.50, 20.0, strategy="baseline", runtime="eager")]
    slow += [record("early_exit-eager", 0.50, 8.0, strategy="early_exit", runtime="eager")]
    found = verdict([*slow, *OTHERS, record("early_exit-a", 0.35, 3.0)])
    assert (found.decision, found.early) == ("NOT WORTH IT", "early_exit-a")


def test_without_early_exit_there_is_no_verdict():
    found = verdict(OTHERS)
    assert (found.decision, found.at_equal_map) == (None, "")
    assert found.sentence == "No verdict: this run has no early-exit record."


def test_a_forced_run_begins_with_a_warning():
    poor = {"forced": True, "foundation": {"map50": 0.21, "floor": 0.5, "passed": False}}
    found = verdict([*OTHERS, record("early_exit-a", 0.45, 3.0, **poor)])
    assert found.sentence.startswith("WARNING: the baseline missed its foundation gate (AP50 0.210, floor 0.500)")
    assert "WORTH IT: at 3.00 ms" in found.sentence


def test_records_that_cannot_be_paired_are_refused():
    early = record("early_exit-a", 0.45, 3.0)
    with pytest.raises(UserError, match="different numbers of bootstrap resamples: \\[10, 800\\]"):
        verdict([*OTHERS, early.model_copy(update={"map_bootstrap": early.map_bootstrap[:10]})])
    with pytest.raises(UserError, match="test split"):
        verdict([*OTHERS, early.model_copy(update={"split_hash": "0" * 64})])


def test_noise_alone_is_rarely_called_a_difference():
    """Twenty early-exit strategies exactly as good as their rival, seen through fresh images each."""
    called = 0
    for trial in range(20):
        rng = np.random.default_rng(trial)
        shared = rng.normal(0.4, 0.2, 300)
        draws = resample(300, 300, seed=trial)

        def seen(name, ms, shared=shared, draws=draws, rng=rng):
            scores = shared + rng.normal(0, 0.05, 300)
            return record(name, float(scores.mean()), ms, map_bootstrap=scores[draws].mean(axis=1).tolist())

        points = [seen(f"early_exit-{i}", 3.0) for i in range(4)]
        called += verdict([seen("baseline", 4.0), seen("quant", 2.0), *points]).decision != "UNDECIDED"
    assert called <= 3


@pytest.mark.parametrize(
    ("strategy", "early"),
    [
        ("early_exit", True),
        ("quant+early_exit", True),
        ("multi_exit_yolos+quant", True),
        ("early_exit_like", False),
    ],
)
def test_early_exit_is_a_component_of_the_strategy(strategy, early):
    assert is_early(record("a", 0.4, 3.0, strategy=strategy)) is early


POINTS = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), max_size=12)


@given(POINTS)
def test_the_frontier_is_what_nothing_beats(points):
    def beaten(p):
        return any(q[0] <= p[0] and q[1] >= p[1] and q != p for q in points)

    kept = frontier(points)
    assert sorted(kept) == [i for i, p in enumerate(points) if not beaten(p)]
    assert [points[i] for i in kept] == sorted(points[i] for i in kept)


def test_each_runtime_has_its_own_frontier():
    slow = record("slow", 0.2, 9.0, runtime="eager")
    assert on_frontier([*OTHERS, slow, record("prune", 0.2, 3.0)]) == {"baseline", "quant", "slow"}
