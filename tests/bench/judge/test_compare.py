"""Two runs with planted changes: what is better is called so, what is level is not, and nothing unlike is paired."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.judge.compare import MAP_MARGIN, TIME_MARGIN, compare, decide
from bench.records import Record
from bench.stats import bonferroni, interval, resample
from models.errors import UserError

STORED = json.loads((Path(__file__).parents[2] / "support" / "record.json").read_text())
DRAWS = resample(600, 400, 0)
IMAGES = 60
SCORES = np.random.default_rng(0).normal(0.4, 0.2, 600)
TIMES = np.random.default_rng(1).gamma(20, 1 / 20, IMAGES)


def record(name: str, scores=SCORES, times=3 * TIMES, runtime: str = "openvino", **changes) -> Record:
    """A record whose mAP is the mean of `scores` [600], timed twice on each image i in `times` [i] ms."""
    map_ = float(scores.mean())
    replicates = scores[DRAWS].mean(axis=1)
    samples = np.concatenate([times, times])
    latency = {
        "mean": times.mean(),
        "mean_interval": (times.mean(), times.mean()),
        **{f"p{p}": np.percentile(samples, p) for p in (50, 90, 99)},
        "p50_interval": (np.median(samples), np.median(samples)),
        "p90_interval": None,
        "p99_interval": None,
        "samples": samples.tolist(),
        "images": 2 * list(range(len(times))),
        "warmup": 20,
        "steady": True,
    }
    own = {"name": name, "strategy": name.partition("-")[0], "runtime": runtime, "map": map_, "latency_ms": latency}
    own |= {"map_bootstrap": replicates.tolist(), "map_interval": interval(replicates)}
    return Record.model_validate({**STORED, **own, **changes})


def noisy(rng: np.random.Generator, spread: float, around: np.ndarray) -> np.ndarray:
    return around * rng.lognormal(0, spread, len(around))


BASE = record("baseline")


def only(a: Record, b: Record, **bases):
    """The change from a to b, each beside the baseline."""
    return next(c for c in compare([BASE, a], [bases.get("base", BASE), b]).changes if c.name != "baseline")


def test_a_planted_gain_is_found():
    rng = np.random.default_rng(2)
    a = record("quant", SCORES, noisy(rng, 0.02, 2 * TIMES))
    b = record("quant", SCORES + 0.03 + rng.normal(0, 0.02, 600), noisy(rng, 0.02, 1.6 * TIMES), weights_hash="d" * 64)
    change = only(a, b)
    assert (change.map.decision, change.time.decision, change.speed_up.decision) == ("better",) * 3
    assert change.map.low < 0.03 < change.map.high
    assert change.time.low < 2 / 1.6 < change.time.high
    assert change.speed_up.low < 2 / 1.6 < change.speed_up.high
    assert not change.same_weights
    back = only(b, a)
    assert (back.map.decision, back.time.decision, back.speed_up.decision) == ("worse",) * 3


def test_a_run_is_the_same_as_itself():
    run = [BASE, record("quant", SCORES - 0.1, 2 * TIMES, noise={"value": 1.1, "low": 1, "high": 1.2})]
    found = compare(run, run)
    for change in found.changes:
        assert (change.map.value, change.map.low, change.map.high, change.map.decision) == (0, 0, 0, "same")
        assert (change.time.value, change.time.low, change.time.high, change.time.decision) == (1, 1, 1, "same")
        assert change.unchanged
    assert {c.name: c.speed_up and c.speed_up.decision for c in found.changes} == {"baseline": None, "quant": "same"}


def test_what_the_images_do_not_settle_is_undecided():
    rng = np.random.default_rng(3)
    a = record("quant", SCORES, noisy(rng, 0.4, 2 * TIMES))
    unclear = rng.normal(0, 0.3, 600)
    b = record("quant", SCORES + unclear - unclear.mean(), noisy(rng, 0.4, 2 * TIMES))
    change = only(a, b)
    assert change.map.low < -MAP_MARGIN < MAP_MARGIN < change.map.high
    assert (change.map.decision, change.time.decision, change.speed_up.decision) == ("undecided",) * 3


def test_a_small_change_seen_sharply_is_the_same():
    rng = np.random.default_rng(4)
    a = record("quant", SCORES, 2 * TIMES)
    change = only(a, record("quant", SCORES + 0.002 + rng.normal(0, 0.002, 600), noisy(rng, 0.01, 2.01 * TIMES)))
    assert change.map.low > 0
    assert change.time.low < change.time.value < 1
    assert (change.map.decision, change.time.decision) == ("same", "same")


def test_drift_of_the_whole_machine_cancels():
    rng = np.random.default_rng(5)
    a = record("quant", times=2 * TIMES)
    b = record("quant", times=noisy(rng, 0.01, 1.4 * 2 * TIMES))
    change = only(a, b, base=record("baseline", times=noisy(rng, 0.01, 1.4 * 3 * TIMES)))
    assert change.time.decision == "worse"
    assert change.time.value == pytest.approx(1 / 1.4, rel=0.01)
    assert change.speed_up.decision == "same"
    assert change.speed_up.value == pytest.approx(1, rel=0.01)


def test_noise_of_either_run_widens_the_intervals_of_times():
    times = noisy(np.random.default_rng(6), 0.01, 1.9 * TIMES)
    a, b = record("quant", times=2 * TIMES), record("quant", times=times, weights_hash="d" * 64)
    quiet = only(a, b)
    loud = only(
        a.model_copy(update={"noise": a.noise.model_copy(update={"value": 0.95})}),
        b.model_copy(update={"noise": a.noise.model_copy(update={"value": 1.02})}),
    )
    for narrow, wide in ((quiet.time, loud.time), (quiet.speed_up, loud.speed_up)):
        assert (narrow.decision, wide.decision) == ("better", "undecided")
        assert wide.high / narrow.high == pytest.approx(1.02 / 0.95)
        assert narrow.low / wide.low == pytest.approx(1.02 / 0.95)


def test_unchanged_detectors_say_how_far_speed_ups_move_by_themselves():
    rng = np.random.default_rng(7)
    a = [BASE, record("prune", times=2 * TIMES), record("quant", times=2 * TIMES)]
    moved = record("prune", times=2 * TIMES / 1.3)
    faster = record("quant", times=noisy(rng, 0.01, 2 * TIMES / 1.2), weights_hash="d" * 64)
    found = compare(a, [BASE, moved, faster])
    prune, quant = (next(c for c in found.changes if c.name == name) for name in ("prune", "quant"))
    assert found.moved == {"openvino": pytest.approx(1.3)}
    assert (quant.time.decision, quant.speed_up.decision) == ("better", "undecided")
    assert quant.speed_up.low == pytest.approx(quant.time.low / 1.3, rel=0.02)
    assert (prune.unchanged, quant.unchanged) == (True, False)
    assert prune.speed_up.decision == "better"  # a pair is no yardstick for itself
    newer = {**STORED["environment"], "libraries": {"torch": "2.16.0", "openvino": "2026.1.0"}}
    upgraded = compare(a, [BASE, record("prune", times=2 * TIMES / 1.3, environment=newer), faster])
    assert upgraded.moved == {}
    assert next(c for c in upgraded.changes if c.name == "quant").speed_up.decision == "better"


@pytest.mark.parametrize("shared", [True, False])
def test_intervals_of_times_agree_with_the_delta_method(shared):
    rng = np.random.default_rng(8)
    one, other = noisy(rng, 0.2, 2 * TIMES), noisy(rng, 0.2, 1.7 * TIMES)
    b = record("quant", times=other)
    if not shared:
        elsewhere = [image + IMAGES for image in b.latency_ms.images]
        b = b.model_copy(update={"latency_ms": b.latency_ms.model_copy(update={"images": tuple(elsewhere)})})
    found = compare([record("quant", times=one)], [b]).changes[0].time
    parts = one / one.mean(), other / other.mean()
    spread = np.var(parts[0] - parts[1]) if shared else np.var(parts[0]) + np.var(parts[1])
    reach = 1.96 * np.sqrt(spread / IMAGES)
    assert found.value == pytest.approx(one.mean() / other.mean(), rel=1e-4)
    assert np.log(found.high / found.value) == pytest.approx(reach, rel=0.12)
    assert np.log(found.value / found.low) == pytest.approx(reach, rel=0.12)


def test_the_interval_of_the_map_is_paired_and_corrected_for_the_number_of_pairs():
    rng = np.random.default_rng(9)
    change = SCORES + rng.normal(0.01, 0.05, 600)
    alone = compare([record("quant")], [record("quant", change)]).changes[0].map
    sharp = 1.96 * np.std(change - SCORES) / np.sqrt(600)
    assert alone.high - alone.value == pytest.approx(sharp, rel=0.15)
    others = [record(f"prune-{i}") for i in range(9)]
    found = compare([record("quant"), *others], [record("quant", change), *others])
    among = next(c for c in found.changes if c.name == "quant").map
    assert found.level == bonferroni(0.95, 10) == pytest.approx(0.995)
    assert among.high - among.value == pytest.approx(sharp * 2.807 / 1.96, rel=0.15)


def test_few_images_widen_the_intervals():
    times = np.array([1.0, 1.1, 1.2])
    few = compare([record("quant", times=times)], [record("quant", times=times * [0.7, 0.75, 0.8])]).changes[0]
    assert few.time.value == pytest.approx(1.33, abs=0.01)
    assert few.time.high > 1.45  # Student's t of two degrees of freedom, 4.3 standard errors


def test_two_runs_of_one_truth_are_rarely_called_different():
    """Five detectors in each run, seen with fresh noise in both: all fifteen calls of a trial should hold together."""
    called = 0
    for trial in range(12):
        rng = np.random.default_rng(trial)

        def run(rng=rng):
            yield record("baseline", times=noisy(rng, 0.1, 3 * TIMES))
            for i in range(4):
                yield record(f"prune-{i}", SCORES + rng.normal(0, 0.1, 600), noisy(rng, 0.1, 2 * TIMES))

        found = compare(list(run()), list(run())).changes
        calls = {e.decision for c in found for e in (c.map, c.time, c.speed_up) if e}
        called += not calls.isdisjoint({"better", "worse"})
    assert called <= 4  # 15 % at most are expected, three quantities at 5 % each: 1.8 trials


def test_pairs_are_of_one_runtime_and_the_rest_is_named():
    a = [BASE, record("quant-one", times=2 * TIMES), record("resize")]
    b = [
        record("baseline-openvino"),
        record("quant-one-openvino", times=2 * TIMES),
        record("quant-one-eager", runtime="eager"),
        record("resize-eager", runtime="eager"),
    ]
    found = compare(a, b)
    assert sorted((c.name, c.runtime) for c in found.changes) == [("baseline", "openvino"), ("quant-one", "openvino")]
    assert [r.name for r in found.only_a] == ["resize"]
    assert [r.name for r in found.only_b] == ["quant-one-eager", "resize-eager"]


def test_without_a_baseline_nothing_cancels_drift():
    assert compare([record("quant")], [BASE, record("quant", SCORES + 0.1)]).changes[0].speed_up is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"split_hash": "0" * 64}, "test split"),
        ({"seed": 7}, "seed differs: 0 and 7"),
        ({"map_bootstrap": [0.4] * 300}, "number of bootstrap resamples differs: 400 and 300"),
        ({"test_images": 2}, "measured on 2 images"),
        ({"runtime": "eager"}, "no record of A is in B"),
    ],
)
def test_what_cannot_be_paired_is_refused(changes, expected):
    with pytest.raises(UserError, match=expected):
        compare([record("quant")], [record("quant", **changes)])


BOUNDS = st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(sorted)


@given(BOUNDS, st.floats(0.001, 0.5))
def test_a_call_needs_the_whole_interval_and_turns_with_it(bounds, margin):
    low, high = bounds
    found = decide(low, high, margin)
    turned = {"better": "worse", "worse": "better"}
    assert decide(-high, -low, margin) == turned.get(found, found)
    assert (found == "same") == (max(abs(low), abs(high)) <= margin)
    if found == "better":
        assert low > 0
        assert high > margin
    if found == "undecided":
        assert low <= 0 <= high


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 2))
def test_swapping_the_runs_inverts_everything(seed, factor):
    rng = np.random.default_rng(seed)
    a = record("quant", SCORES + rng.normal(0, 0.1, 600), noisy(rng, 0.1, 2 * TIMES))
    b = record("quant", SCORES + rng.normal(0, 0.1, 600), factor * noisy(rng, 0.1, 2 * TIMES))
    assume(abs(factor - 1) > 2 * TIME_MARGIN)
    there, back = compare([a], [b]).changes[0], compare([b], [a]).changes[0]
    assert there.map.low <= there.map.value <= there.map.high
    assert (there.map.low, there.map.high) == pytest.approx((-back.map.high, -back.map.low))
    assert (there.time.low, there.time.high) == pytest.approx((1 / back.time.high, 1 / back.time.low))
