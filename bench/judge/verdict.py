"""The answer: are early exits worth it against the best other strategy at equal latency?

One comparison per early-exit point (`bench.judge.alternatives`), and a sentence with the number, its interval and what
it was compared with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.judge.alternatives import (
    Comparison,
    Overtaking,
    Resampled,
    at_equal_time,
    collapsed,
    edge_of,
    is_alternative,
    is_early,
    overtaken,
    resampled,
    speed_ratios,
)
from bench.judge.frontier import same_resamples
from bench.records import Record, baseline_of, same_split
from bench.routing.alarms import COLLAPSED
from bench.stats import bonferroni, images_to_decide, interval, probability_above

LEVEL = 0.95
TOLERATED = 0.02  # relative loss of mAP, and of time, that makes no difference to a user


@dataclass(frozen=True)
class Verdict:
    """Whether early exit is worth it, and the evidence.

    Where there is nothing to compare, and where it is UNDECIDED because every gate has collapsed, only `decision` and
    `sentence` are set.

    Attributes:
        decision: WORTH IT, NOT WORTH IT or UNDECIDED; None when there is nothing to compare.
        sentence: the decision with its numbers, in words.
        difference: mAP of `early` minus that of `against`.
        low: lower end of its interval.
        high: upper end.
        probability: share of resamples in which `early` is above, in [0, 1].
        early: name of the record that speaks for early exit.
        against: names of the one or two records it was compared with.
        speed_ratio: time in which the others reach the mAP of `early` over its own time, above 1 when early exit is
            faster; None when no other is that accurate.
        speed_low: lower end of its interval, inf where no other gets there.
        speed_high: upper end, inf likewise.
        unreached: share of resamples in which no other reaches the mAP of `early`, in [0, 1].
        images: number of test images.
        images_needed: about how many would decide; None when decided, or when more images would not help.
        points: number of early-exit points considered.
    """

    decision: str | None
    sentence: str
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    probability: float | None = None
    early: str | None = None
    against: tuple[str, ...] = ()
    speed_ratio: float | None = None
    speed_low: float | None = None
    speed_high: float | None = None
    unreached: float | None = None
    images: int = 0
    images_needed: int | None = None
    points: int = 0

    @property
    def at_equal_map(self) -> str:
        """The comparison of speed at the mAP of `early`, as a sentence; empty where no record speaks for early exit."""
        low, high, unreached = self.speed_low, self.speed_high, self.unreached
        if low is None or high is None or unreached is None:
            return ""
        if self.speed_ratio is None:
            doubt = "" if math.isinf(low) else f" (probability {unreached:.2f})"
            return f"No other strategy reaches the mAP of {self.early}{doubt}."
        at = f"At the mAP of {self.early}"
        if high < 1:
            return f"{at} the others are {1 / self.speed_ratio:.2f} times as fast [{1 / high:.2f}, {1 / low:.2f}]."
        never = math.isinf(high)
        most = "no limit" if never else f"{high:.2f}"
        long = f"the others take {self.speed_ratio:.2f} times as long [{low:.2f}, {most}]"
        doubt = f"; with probability {unreached:.2f} none of them reaches it" if never else ""
        return f"{at} {'' if low > 1 else 'neither is clearly faster: '}{long}{doubt}."


def verdict(records: Sequence[Record]) -> Verdict:
    """Judge early exit against every other strategy on the same runtime.

    With several runtimes it is judged where the fastest point is that keeps the accuracy (TOLERATED): a win on a slower
    one is no reason to stay there.

    A gate that has collapsed, so that one exit answers nearly all images, speaks for early exit no more than the
    network up to that exit does: where all have, the answer is UNDECIDED. Each other early-exit point faster than the
    baseline (every one, if none is) is compared with the alternatives' frontier at its own mean latency: between two of
    them with their linear mixture, beyond the slowest with the best of them. The point with the largest difference in
    mAP speaks for early exit. Its interval is the percentile interval of the paired bootstrap, in which the latencies
    vary too and with them the mixture. Picking the best of several points flatters it, so the intervals of its
    difference and of its speed are Bonferroni-corrected for their number: all hold together at 95 %.

    Where no point is faster than the baseline, it takes a better mAP to be worth it. So it does where another strategy
    is clearly faster than the point and hardly less accurate (both by TOLERATED, beyond the intervals): to be level
    with what lies between that strategy and a slower one is no merit then. Nor is it worth it where another strategy is
    as fast and as accurate to within TOLERATED, beyond the intervals: exits have to gain something.

    Where no other strategy is as fast, equal latency has nothing to offer, and the point is set against the
    fastest other. It wins if it is faster and more accurate, but it cannot lose: to be faster than anything
    else and less accurate is a trade, which no number of images decides.

    Args:
        records: of one run.

    Returns:
        The verdict.

    Raises:
        UserError: the records' test splits, numbers of resamples or timed images differ.
    """
    same_split(records)
    same_resamples(records)
    warning = _warning(records)
    records = _shipped(records)
    if not any(is_early(r) for r in records):
        return Verdict(None, f"{warning}No verdict: this run has no early-exit record.")
    everyone = resampled(records)
    edge = edge_of([one for one in everyone if is_alternative(one.record)])
    if not edge:
        return Verdict(None, f"{warning}No verdict: no other strategy ran on the runtime of early exit.")
    gates = [one for one in everyone if is_early(one.record)]
    points = [one for one in gates if not collapsed(one.record)]
    if not points:
        return Verdict("UNDECIDED", f"{warning}UNDECIDED: {_all_collapsed(len(gates))}")
    baseline = baseline_of(records, records[0].runtime)
    faster = [one for one in points if baseline is None or one.ms[0] < baseline.latency_ms.mean]
    found = [at_equal_time(one, edge) for one in faster or points]
    best = max(found, key=lambda c: c.difference)
    most = TOLERATED * (baseline or best.early.record).map
    level = bonferroni(LEVEL, len(found) * len(edge))
    passed = overtaken(best.early, edge, level, TOLERATED, most) or overtaken(best.early, edge, level, -TOLERATED, most)
    return _judge(best, edge, passed, len(found), bool(faster), warning)


def _shipped(records: Sequence[Record]) -> list[Record]:
    """The records of the runtime that would be shipped.

    That is the one of the fastest point within TOLERATED of its fp32 baseline's mAP, or the first one when there is no
    baseline.
    """
    baselines = {r.runtime: baseline_of(records, r.runtime) for r in records}
    kept = [r for r in records if (b := baselines[r.runtime]) and r.map >= (1 - TOLERATED) * b.map]
    runtime = min(kept, key=lambda r: r.latency_ms.mean).runtime if kept else records[0].runtime
    return [r for r in records if r.runtime == runtime]


def _judge(
    best: Comparison, edge: Sequence[Resampled], passed: Overtaking | None, points: int, faster: bool, warning: str
) -> Verdict:
    early, difference, level = best.early.record, best.difference, bonferroni(LEVEL, points)
    low, high = interval(best.differences[1:], level)
    decision, needed = "UNDECIDED", None
    if low > 0:
        decision = "WORTH IT"
    elif (high < 0 and best.reachable) or (not faster and early.speed_up.high < 1):
        decision = "NOT WORTH IT"  # worse at its time; or slower than the baseline, and not shown to be better
    elif passed:
        decision = "NOT WORTH IT"
    elif best.reachable or difference > 0:
        needed = images_to_decide(difference, (low, high), early.test_images, level)
    said = _sentence(best, (low, high), points, faster, needed)
    if passed and decision == "NOT WORTH IT":
        said = f"{said} {_overtaken(passed)}"
    ratios = speed_ratios(best.early, edge)
    fast_low, fast_high = interval(1 / ratios[1:], level)  # of the inverse, because a quantile between infs is nan
    return Verdict(
        decision=decision,
        sentence=f"{warning}{decision}: {said}",
        difference=difference,
        low=low,
        high=high,
        probability=probability_above(best.differences[1:], 0),
        early=early.name,
        against=best.names,
        speed_ratio=float(ratios[0]) if np.isfinite(ratios[0]) else None,
        speed_low=_inverse(fast_high),
        speed_high=_inverse(fast_low),
        unreached=float(np.isinf(ratios[1:]).mean()),
        images=early.test_images,
        images_needed=needed,
        points=points,
    )


def _inverse(value: float) -> float:
    return 1 / value if value else math.inf


def _sentence(best: Comparison, bounds: tuple[float, float], points: int, faster: bool, needed: int | None) -> str:
    early, difference = best.early.record, best.difference
    gap = f"{_ap(abs(difference))} {'above' if difference > 0 else 'below'}" if difference else "level with"
    names = "the line between " * (len(best.names) > 1) + " and ".join(best.names)
    at = f"at {early.latency_ms.mean:.2f} ms"
    if not faster:
        at = f"no early-exit point is faster than the baseline; {at}"
    if not best.reachable:
        at, names = f"{at}, faster than any other,", f"{names} at {best.alternatives[0].ms[0]:.2f} ms"
    facts = f"95 % interval {_ap(bounds[0])} to {_ap(bounds[1])}"
    facts += f" over {points} points" if points > 1 else ""
    facts += f", {early.test_images:,} test images"
    facts += f", about {needed:,} would decide" if needed else ""
    return f"{at} {early.name} has mAP {early.map:.3f}, {gap} {names} ({facts})."


def _all_collapsed(gates: int) -> str:
    points = f"all {gates} early-exit points send" if gates > 1 else "the only early-exit point sends"
    return (
        f"every gate has collapsed: {points} over {100 * COLLAPSED:g} % of the images to one exit, so nothing here "
        "says what choosing between exits is worth. Where that is the last exit nobody leaves early; where it is an "
        "inner one it is a shallower network, which has a row of its own."
    )


def _overtaken(passed: Overtaking) -> str:
    accurate = f"at most {_ap(passed.loses)} less accurate"
    if passed.loses < 0.0005:
        accurate = "more accurate" if passed.loses < 0 else "no less accurate"
    fast = f"{passed.ratio:.2f} times as fast [{passed.low:.2f}, {passed.high:.2f}]"
    return f"{passed.alternative.name} is {fast} and {accurate}."


def _ap(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"  # adding 0.0 turns -0.0 into 0.0


def _warning(records: Sequence[Record]) -> str:
    forced = next((r for r in records if r.forced), None)
    if forced is None:
        return ""
    reached = f"AP50 {forced.foundation.map50:.3f}, floor {forced.foundation.floor:.3f}"
    return f"WARNING: the baseline failed the foundation check ({reached}): nothing here can be trusted. "
