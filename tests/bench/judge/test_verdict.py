"""Verdicts on planted truths: detectors whose accuracy is the mean of made-up scores of the test images."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bench.judge.alternatives import at_equal_time, is_alternative, is_early, resampled, speed_ratios
from bench.judge.groups import multi_exit
from bench.judge.verdict import verdict
from bench.records import Record
from bench.stats import resample
from models.errors import UserError
from tests.support.made import always, gate, made, routed, two_exits

SHARED = np.random.default_rng(0).normal(0, 0.2, 600)  # easy and hard images, for every detector alike
DRAWS = resample(600, 800, seed=1)


def record(name: str, ap: float, ms: float, noise: float = 0.05, **changes) -> Record:
    """A detector with mAP `ap` exactly, which differs from another by `noise` per image, and always takes `ms`."""
    scores = SHARED + np.random.default_rng(sum(map(ord, name))).normal(0, noise, 600)
    scores += ap - scores.mean()
    return made(name, ap, scores[DRAWS].mean(axis=1), [ms], **changes)


def slowed(record: Record, ms: np.ndarray) -> Record:
    """The same accuracy, timed once on each of 600 images: ms [600]."""
    return made(record.name, record.map, np.array(record.map_bootstrap), ms.tolist(), seed=1)


OTHERS = [record("baseline", 0.50, 4.0), record("quant", 0.30, 2.0)]
PLACES = [("baseline", 0.50, 4.0), ("quant", 0.30, 2.0), ("early_exit-a", 0.40, 3.0)]


def test_clearly_worth_it():
    found = verdict([*OTHERS, record("early_exit-a", 0.45, 3.0)])
    assert found.decision == "WORTH IT"
    assert found.difference == pytest.approx(0.05)
    assert 0 < found.low < 0.05 < found.high
    assert found.probability > 0.99
    assert found.against == ("quant", "baseline")
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
    assert found.images_needed == pytest.approx(600 * (reach * (1 + 1.2816 / 1.96)) ** 2, rel=0.05)
    assert f"about {found.images_needed:,} would decide" in found.sentence
    of_two = verdict([*OTHERS, record("early_exit-a", 0.401, 3.0), record("early_exit-b", 0.33, 3.0)])
    reach = (of_two.difference - of_two.low) / of_two.difference
    assert of_two.images_needed == pytest.approx(600 * (reach * (1 + 1.2816 / 2.2414)) ** 2, rel=0.05)


def test_the_alternative_is_interpolated_replicate_by_replicate():
    early = record("early_exit-a", 0.40, 2.5)
    found = verdict([*OTHERS, early])
    baseline, quant = (np.array(r.map_bootstrap) for r in OTHERS)
    expected = np.quantile(np.array(early.map_bootstrap) - (0.75 * quant + 0.25 * baseline), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert found.difference == pytest.approx(0.40 - 0.35)


def test_at_the_latency_of_another_record_it_is_the_only_alternative():
    found = verdict([*OTHERS, record("early_exit-a", 0.40, 2.0)])
    assert (found.against, found.difference) == (("quant",), pytest.approx(0.1))


def test_a_dominated_record_is_no_alternative():
    found = verdict([*OTHERS, record("prune-30", 0.2, 2.9), record("early_exit-a", 0.45, 3.0)])
    assert found.against == ("quant", "baseline")


def test_slower_than_every_other_the_alternative_is_the_best_of_them():
    others = [record("baseline", 0.50, 4.0), record("quant", 0.52, 2.0)]
    found = verdict([*others, record("early_exit-a", 0.45, 3.0)])
    assert (found.decision, found.against) == ("NOT WORTH IT", ("quant",))


def test_faster_and_less_accurate_than_every_other_is_a_trade_that_no_image_decides():
    found = verdict([*OTHERS, record("early_exit-a", 0.25, 1.6)])
    assert (found.decision, found.images_needed, found.against) == ("UNDECIDED", None, ("quant",))
    assert found.speed_ratio == pytest.approx(2.0 / 1.6)
    assert "at 1.60 ms, faster than any other, early_exit-a" in found.sentence
    assert "0.050 below quant at 2.00 ms" in found.sentence


def test_faster_and_more_accurate_than_the_fastest_other_is_worth_it():
    found = verdict([*OTHERS, record("early_exit-a", 0.40, 1.5)])
    assert (found.decision, found.against) == ("WORTH IT", ("quant",))
    assert found.speed_ratio == pytest.approx(3.0 / 1.5)
    bounds = f"[{found.speed_low:.2f}, {found.speed_high:.2f}]"
    assert found.at_equal_map == f"At the mAP of early_exit-a the others take 2.00 times as long {bounds}."


def test_speed_at_equal_map_can_favour_the_others_or_have_no_answer():
    losing = verdict([*OTHERS, record("early_exit-a", 0.35, 3.0)])
    assert losing.speed_ratio == pytest.approx(2.5 / 3.0)
    bounds = f"[{1 / losing.speed_high:.2f}, {1 / losing.speed_low:.2f}]"
    assert losing.at_equal_map == f"At the mAP of early_exit-a the others are 1.20 times as fast {bounds}."
    alone = verdict([*OTHERS, record("early_exit-a", 0.55, 3.0)])
    assert (alone.speed_ratio, alone.speed_low, alone.unreached) == (None, float("inf"), 1)
    assert alone.at_equal_map == "No other strategy reaches the mAP of early_exit-a."


def test_a_speed_that_may_be_the_same_is_no_win():
    found = verdict([*OTHERS, record("early_exit-a", 0.402, 3.0)])
    assert found.speed_low < 1 < found.speed_ratio < found.speed_high
    assert found.at_equal_map.startswith("At the mAP of early_exit-a neither is clearly faster: the others take 1.01 ")


def test_an_accuracy_that_others_may_not_reach_has_no_limit_in_time():
    near = verdict([*OTHERS, record("early_exit-a", 0.499, 3.0)])
    assert near.speed_low > 1
    assert near.speed_high == float("inf")
    assert 0.025 < near.unreached < 0.5
    assert near.at_equal_map.endswith(f", no limit]; with probability {near.unreached:.2f} none of them reaches it.")
    above = verdict([*OTHERS, record("early_exit-a", 0.501, 3.0)])
    assert above.speed_ratio is None
    assert 0.5 < above.unreached < 0.975
    assert above.at_equal_map.endswith(f"reaches the mAP of early_exit-a (probability {above.unreached:.2f}).")


def test_the_speed_is_that_of_the_first_time_on_the_line_draw_by_draw():
    """Against a search along the line, on draws that turn neighbours round."""
    rng = np.random.default_rng(0)
    edge = resampled([record(f"prune-{k}", 0.3 + 0.01 * k, 2 + k, noise=0.3) for k in range(4)])
    early = resampled([record("early_exit", 0.312, 3.0, noise=0.3)])[0]
    found = speed_ratios(early, edge) * early.ms
    steps = np.linspace(0, 1, 2001)
    for b in [0, *rng.integers(1, 801, 60)]:
        maps = np.concatenate([a.map[b] + steps * (z.map[b] - a.map[b]) for a, z in pairwise(edge)])
        ms = np.concatenate([a.ms[b] + steps * (z.ms[b] - a.ms[b]) for a, z in pairwise(edge)])
        reached = ms[maps >= early.map[b]]
        assert found[b] == (pytest.approx(reached.min(), abs=2e-3) if len(reached) else float("inf"))


def test_the_noise_of_latencies_reaches_the_interval():
    """Accuracies as certain as can be: all that varies is how much of the baseline's mAP the same time buys."""
    rng = np.random.default_rng(2)
    sure = [record(name, ap, ms, map_bootstrap=[ap] * 800) for name, ap, ms in PLACES]
    assert verdict(sure).high - verdict(sure).low == pytest.approx(0)
    noisy = rng.exponential(1, 600)
    noisy += 3 - noisy.mean()
    steady = [slowed(r, np.full(600, r.latency_ms.mean)) for r in sure[:2]]
    found = verdict([*steady, slowed(sure[2], noisy)])
    times = noisy[resample(600, 800, seed=1)].mean(axis=1)
    bounds = np.quantile(0.40 - (0.30 + 0.1 * (times - 2)), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(tuple(bounds), abs=1e-6)
    assert found.high - found.low > 0.01


def test_the_mixture_stays_between_its_alternatives_even_where_a_draw_turns_them_round():
    rng = np.random.default_rng(4)
    slow, fast, early = (
        replace(one, ms=one.ms + np.r_[0, rng.normal(0, 1.5, 800)])
        for one in resampled([record(*place) for place in PLACES])
    )
    alternative = early.map - at_equal_time(early, [fast, slow]).differences
    turned = slow.ms <= fast.ms
    assert 10 < turned.sum() < 700
    assert alternative[turned] == pytest.approx(slow.map[turned])
    between = np.sort([fast.map, slow.map], axis=0)
    assert (between[0] - 1e-12 <= alternative).all()
    assert (alternative <= between[1] + 1e-12).all()


def test_a_slow_machine_slows_all_and_changes_nothing():
    rng = np.random.default_rng(3)
    load = rng.gamma(10, 0.1, 600)
    load /= load.mean()
    records = [record(*place) for place in PLACES]
    found = verdict([slowed(r, r.latency_ms.mean * load) for r in records])
    assert (found.low, found.high) == pytest.approx((verdict(records).low, verdict(records).high), abs=1e-6)


def test_a_multi_exit_detector_that_nobody_leaves_is_neither_side():
    full = record("early_exit+quant-full", 0.48, 3.5, **always(1))
    assert not is_early(full)
    assert not is_alternative(full)
    assert verdict([*OTHERS, full, record("early_exit-a", 0.45, 3.0)]).against == ("quant", "baseline")
    assert verdict([*OTHERS, full]).sentence == "No verdict: this run has no early-exit record."


@pytest.mark.parametrize("strategy", ["truncate+quant", "my_exits"])
def test_a_multi_exit_detector_that_everybody_leaves_at_one_inner_exit_is_an_alternative(strategy):
    inner = record("an_exit-exit1", 0.48, 3.5, **always(0)).model_copy(update={"strategy": strategy})
    assert is_alternative(inner)
    assert verdict([*OTHERS, inner, record("early_exit-a", 0.45, 3.0)]).against == ("quant", "an_exit-exit1")


@pytest.mark.parametrize(
    ("knows", "decision"), [(1.0, "WORTH IT"), (0.9, "WORTH IT"), (0.1, "NOT WORTH IT"), (0.0, "NOT WORTH IT")]
)
def test_a_gate_planted_in_the_detections_gets_what_it_deserves(knows, decision):
    """From boxes through matching, mAP and its bootstrap to the sentence."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        matches, hits = two_exits(300, rng)
        found = verdict(routed(matches, gate(hits, knows, rng), rng, resamples=300))
        assert (found.decision, found.against) == (decision, ("truncate", "baseline"))
        assert found.difference == pytest.approx(0.5 * knows - 0.25, abs=0.08)
        assert found.low < found.difference < found.high
        assert (found.speed_low > 1) if knows > 0.5 else (found.speed_high < 1)


def test_the_best_point_speaks_and_pays_for_the_choice():
    early = record("early_exit-a", 0.45, 3.0)
    alone = verdict([*OTHERS, early])
    chosen = verdict([*OTHERS, early, *(record(f"early_exit+quant-{i}", 0.31, 2.5) for i in range(4))])
    assert (chosen.early, chosen.points) == ("early_exit-a", 5)
    assert chosen.low < alone.low < alone.high < chosen.high
    assert chosen.speed_low < alone.speed_low < alone.speed_high < chosen.speed_high
    alternative = np.mean([r.map_bootstrap for r in OTHERS], axis=0)
    expected = np.quantile(np.array(early.map_bootstrap) - alternative, [0.005, 0.995])
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
    unclear = {"value": 0.9, "low": 0.7, "high": 1.01}
    assert verdict([*OTHERS, record("early_exit-a", 0.50, 4.4, speed_up=unclear)]).decision == "NOT WORTH IT"


def near(ap: float, ms: float, quant: float = 0.500, baseline: float = 0.502) -> list[Record]:
    """int8 twice as fast as the baseline and hardly less accurate, and an early exit between the two. All three agree
    on nearly every image."""
    places = {"baseline": (baseline, 4.0), "quant": (quant, 2.0), "early_exit-a": (ap, ms)}
    return [record(name, *place, noise=0.02) for name, place in places.items()]


def test_level_with_the_line_to_a_strategy_that_is_faster_and_as_good_is_not_worth_it():
    found = verdict(near(0.501, 3.0))
    assert found.low < 0 < found.high
    assert found.decision == "NOT WORTH IT"
    assert found.images_needed is None
    assert ". quant is 1.50 times as fast [1.50, 1.50] and at most 0.00" in found.sentence
    assert found.sentence.endswith("less accurate.")


@pytest.mark.parametrize(
    ("records", "why"),
    [
        (near(0.501, 1.95), "slower"),
        (near(0.4508, 3.0, quant=0.40), "much less accurate"),
    ],
)
def test_it_takes_a_alternative_both_as_fast_and_hardly_less_accurate(records, why):
    assert verdict(records).decision == "UNDECIDED", why


@pytest.mark.parametrize("ms", [1.99, 2.00, 2.03])
def test_a_alternative_as_fast_and_as_accurate_is_enough(ms):
    found = verdict(near(0.501, ms))
    assert found.decision == "NOT WORTH IT"
    assert found.images_needed is None
    assert f". quant is {ms / 2:.2f} times as fast" in found.sentence


@pytest.mark.parametrize("share", [(0.99, 0.01), (0.01, 0.99), (0.0, 1.0)])
def test_a_gate_that_has_collapsed_does_not_speak_for_early_exit(share):
    """It is the fastest of all and as good as any: the network up to the exit that answers, which has a row."""
    collapsed = record("early_exit-a", 0.50, 1.0, exit_share=share)
    alive = record("early_exit-b", 0.35, 3.0, exit_share=[0.5, 0.5])
    found = verdict([*OTHERS, collapsed, alive])
    assert (found.early, found.decision, found.points) == ("early_exit-b", "NOT WORTH IT", 1)
    assert found == verdict([*OTHERS, alive])
    barely = record("early_exit-a", 0.50, 1.0, exit_share=[0.02, 0.98])
    assert verdict([*OTHERS, barely, alive]).early == "early_exit-a"


def test_where_every_gate_has_collapsed_nothing_is_worth_it():
    """Faster and more accurate than all others, by the clock of a busy machine."""
    one = record("early_exit-tol1", 0.60, 1.0, exit_share=[0.0, 1.0])
    found = verdict([*OTHERS, one])
    assert (found.decision, found.early, found.at_equal_map, found.against) == ("UNDECIDED", None, "", ())
    assert found.sentence.startswith(
        "UNDECIDED: every gate has collapsed: the only early-exit point sends over 98 % of"
    )
    found = verdict([*OTHERS, one, record("early_exit-tol5", 0.55, 1.0, exit_share=[0.99, 0.01])])
    assert found.decision == "UNDECIDED"
    assert "all 2 early-exit points send over 98 % of the images to one exit" in found.sentence


def test_what_may_be_less_accurate_is_not_enough():
    noisy = [record("baseline", 0.52, 4.0), record("quant", 0.500, 2.0, noise=0.4), record("early_exit-a", 0.501, 2.03)]
    assert verdict(noisy).decision == "UNDECIDED"


def test_a_clear_gain_is_worth_it_whatever_else_is_fast():
    assert verdict(near(0.55, 3.0)).decision == "WORTH IT"


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
    assert found.sentence.startswith("WARNING: the baseline failed the foundation check (AP50 0.210, floor 0.500)")
    assert "WORTH IT: at 3.00 ms" in found.sentence


def test_records_that_cannot_be_paired_are_refused():
    early = record("early_exit-a", 0.45, 3.0)
    with pytest.raises(UserError, match="different numbers of bootstrap resamples: \\[10, 800\\]"):
        verdict([*OTHERS, early.model_copy(update={"map_bootstrap": early.map_bootstrap[:10]})])
    with pytest.raises(UserError, match="test split"):
        verdict([*OTHERS, early.model_copy(update={"split_hash": "0" * 64})])


def test_noise_alone_is_rarely_called_a_difference():
    """Twenty early-exit strategies exactly as good as their alternative, seen through fresh images each."""
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


@pytest.mark.parametrize("strategy", ["my_exits", "my_exits+quant", "early_exit"])
def test_early_exit_is_read_off_the_operating_point_whatever_the_strategy_is_called(strategy):
    gated = record("my_exits-tol1", 0.45, 3.0, strategy=strategy)
    assert is_early(gated)
    assert not is_alternative(gated)
    found = verdict([*OTHERS, gated])
    assert (found.decision, found.early, found.against) == ("WORTH IT", "my_exits-tol1", ("quant", "baseline"))


def test_one_exit_is_no_early_exit_whatever_the_strategy_is_called():
    single = record("baseline-a", 0.45, 3.0, strategy="baseline").model_copy(update={"strategy": "early_exit"})
    assert not is_early(single)
    assert is_alternative(single)


def test_the_operating_points_of_a_multi_exit_detector_belong_together_whatever_it_is_called():
    own = {"strategy": "my_exits", "variant": "x"}
    gated = record("my_exits-x-tol1", 0.45, 3.0, **own)
    full, inner = (
        record("my_exits-x-full", 0.5, 4.0, **own, **always(1)),
        record("my_exits-x-exit1", 0.3, 2.0, **own, **always(0)),
    )
    assert multi_exit([*OTHERS, gated, full, inner]) == {"my_exits-x": [gated, full]}
