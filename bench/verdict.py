"""The answer: are early exits worth it against the best other strategy at equal latency? A frontier, one
comparison per early-exit point, and a sentence with the number, its interval and what it was compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.records import Record, baseline_of, same_split
from bench.stats import bonferroni, images_to_decide, interval, probability_above
from models.errors import UserError

EARLY = {"early_exit", "multi_exit_yolos"}
LEVEL = 0.95
TOLERATED = 0.02  # relative loss of mAP


@dataclass(frozen=True)
class Verdict:
    """decision: WORTH IT, NOT WORTH IT, UNDECIDED, or None when there is nothing to compare: then only
    `sentence` is set. difference, low, high: mAP of `early` minus that of `against`, and its interval.
    probability: share of resamples in which `early` is above. early: name of the record that speaks for
    early exit. against: names of the one or two records it was compared with. speed_ratio: time of the
    fastest other with at least the mAP of `early` over its own time, above 1 when early exit is faster;
    None when no other is that accurate. images: number of test images. images_needed: about how many would
    decide; None when decided, or when more images would not help. points: number of early-exit points
    considered."""

    decision: str | None
    sentence: str
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    probability: float | None = None
    early: str | None = None
    against: str = ""
    speed_ratio: float | None = None
    images: int = 0
    images_needed: int | None = None
    points: int = 0

    @property
    def at_equal_map(self) -> str:
        """The comparison of speed at the mAP of `early`, as a sentence; empty without a decision."""
        if self.decision is None:
            return ""
        if self.speed_ratio is None:
            return f"No other strategy reaches the mAP of {self.early}."
        if self.speed_ratio < 1:
            return f"At the mAP of {self.early} the others are {1 / self.speed_ratio:.2f} times as fast."
        return f"At the mAP of {self.early} the others take {self.speed_ratio:.2f} times as long."


@dataclass(frozen=True)
class _Rival:
    """What the others offer at a latency: records, their weights, and whether any of them is that fast."""

    records: tuple[Record, ...]
    weights: tuple[float, ...]
    reachable: bool = True

    @property
    def map(self) -> float:
        return float(np.dot(self.weights, [r.map for r in self.records]))

    @property
    def replicates(self) -> np.ndarray:
        return np.dot(self.weights, [r.map_bootstrap for r in self.records])

    @property
    def names(self) -> str:
        return " and ".join(r.name for r in self.records)


@dataclass(frozen=True)
class _Comparison:
    early: Record
    rival: _Rival
    faster: bool

    @property
    def difference(self) -> float:
        return round(self.early.map - self.rival.map, 6)


def frontier(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the (cost, mAP) points that no other point beats, cheapest first. A point is beaten by one
    that is no dearer and no worse, and better in one of the two; equal points stay together."""
    kept: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if not kept or points[i][1] > points[kept[-1]][1] or points[i] == points[kept[-1]]:
            kept.append(i)
    return kept


def on_frontier(records: Sequence[Record]) -> set[str]:
    """Names of the records on the frontier of mean latency and mAP, each among those of its own runtime."""
    runtimes = {r.runtime for r in records}
    return {r.name for runtime in runtimes for r in _frontier([r for r in records if r.runtime == runtime])}


def is_early(record: Record) -> bool:
    """Whether images leave early because a criterion says so. The same detector with everybody at one exit is no early
    exit but what it has to beat."""
    return not EARLY.isdisjoint(record.strategy.split("+")) and record.operating_point.criterion is not None


def verdict(records: Sequence[Record]) -> Verdict:
    """Judge early exit against every other strategy on the same runtime. With several runtimes it is judged where the
    fastest point is that keeps the accuracy (TOLERATED): a win on a slower one is no reason to stay there.

    Each early-exit point faster than the baseline (every point, if none is) is compared with the others'
    frontier at its own mean latency: between two of them with their linear mixture, beyond the slowest with
    the best of them. The point with the largest difference in mAP speaks for early exit. Its interval is
    the percentile interval of the paired bootstrap, latencies held at their means. Picking the best of
    several points flatters it, so the interval is Bonferroni-corrected for their number: all hold together
    at 95 %.

    Where no point is faster than the baseline, it takes a better mAP to be worth it.

    Where no other strategy is as fast, equal latency has nothing to offer, and the point is set against the
    fastest other. It wins if it is faster and more accurate, but it cannot lose: to be faster than anything
    else and less accurate is a trade, which no number of images decides.

    Raises UserError when the records' test splits or their numbers of resamples differ.
    """
    same_split(records)
    if len(counts := {len(r.map_bootstrap) for r in records}) > 1:
        what = f"the records hold different numbers of bootstrap resamples: {sorted(counts)}"
        raise UserError(what, fix="measure all of them in one run")
    warning = _warning(records)
    records = _shipped(records)
    if not any(is_early(r) for r in records):
        return Verdict(None, f"{warning}No verdict: this run has no early-exit record.")
    found = _comparisons(records, records[0].runtime)
    found = [c for c in found if c.faster] or found
    if not found:
        return Verdict(None, f"{warning}No verdict: no other strategy ran on the runtime of early exit.")
    return _judge(max(found, key=lambda c: c.difference), len(found), records, warning)


def _shipped(records: Sequence[Record]) -> list[Record]:
    """The records of the runtime that would be shipped: the one of the fastest point within TOLERATED of its fp32
    baseline's mAP, or the first one when there is no baseline."""
    baselines = {r.runtime: baseline_of(records, r.runtime) for r in records}
    kept = [r for r in records if (b := baselines[r.runtime]) and r.map >= (1 - TOLERATED) * b.map]
    runtime = min(kept, key=lambda r: r.latency_ms.mean).runtime if kept else records[0].runtime
    return [r for r in records if r.runtime == runtime]


def _comparisons(records: Sequence[Record], runtime: str) -> list[_Comparison]:
    here = [r for r in records if r.runtime == runtime]
    edge = _frontier([r for r in here if not is_early(r)])
    baseline = baseline_of(here, runtime)
    limit = baseline.latency_ms.mean if baseline else float("inf")
    times = ((r, r.latency_ms.mean) for r in here if edge and is_early(r))
    return [_Comparison(r, _rival(time, edge), time < limit) for r, time in times]


def _frontier(records: Sequence[Record]) -> list[Record]:
    return [records[i] for i in frontier([(r.latency_ms.mean, r.map) for r in records])]


def _rival(latency: float, edge: Sequence[Record]) -> _Rival:
    left = [r for r in edge if r.latency_ms.mean <= latency]
    right = [r for r in edge if r.latency_ms.mean > latency]
    if not left:
        return _Rival((right[0],), (1.0,), reachable=False)
    if not right or left[-1].latency_ms.mean == latency:
        return _Rival((left[-1],), (1.0,))
    start, end = left[-1].latency_ms.mean, right[0].latency_ms.mean
    share = (latency - start) / (end - start)
    return _Rival((left[-1], right[0]), (1 - share, share))


def _speed_ratio(early: Record, records: Sequence[Record]) -> float | None:
    edge = _frontier([r for r in records if r.runtime == early.runtime and not is_early(r)])
    if early.map > edge[-1].map:
        return None
    latency = np.interp(early.map, [r.map for r in edge], [r.latency_ms.mean for r in edge])
    return float(latency) / early.latency_ms.mean


def _judge(best: _Comparison, points: int, records: Sequence[Record], warning: str) -> Verdict:
    early, rival, difference = best.early, best.rival, best.difference
    low, high = interval(np.array(early.map_bootstrap) - rival.replicates, bonferroni(LEVEL, points))
    decision, needed = "UNDECIDED", None
    if low > 0:
        decision = "WORTH IT"
    elif (high < 0 and rival.reachable) or (not best.faster and early.speed_up.high < 1):
        decision = "NOT WORTH IT"  # worse at its time; or slower than the baseline, and not shown to be better
    elif rival.reachable or difference > 0:
        needed = images_to_decide(difference, (low, high), early.test_images)
    return Verdict(
        decision=decision,
        sentence=f"{warning}{decision}: {_sentence(best, (low, high), points, needed)}",
        difference=difference,
        low=low,
        high=high,
        probability=probability_above(early.map_bootstrap, rival.replicates),
        early=early.name,
        against=rival.names,
        speed_ratio=_speed_ratio(early, records),
        images=early.test_images,
        images_needed=needed,
        points=points,
    )


def _sentence(best: _Comparison, bounds: tuple[float, float], points: int, needed: int | None) -> str:
    early, rival, difference = best.early, best.rival, best.difference
    gap = f"{_ap(abs(difference))} {'above' if difference > 0 else 'below'}" if difference else "level with"
    names = rival.names if len(rival.records) == 1 else f"the line between {rival.names}"
    at = f"at {early.latency_ms.mean:.2f} ms"
    if not best.faster:
        at = f"no early-exit point is faster than the baseline; {at}"
    if not rival.reachable:
        at, names = f"{at}, faster than any other,", f"{names} at {rival.records[0].latency_ms.mean:.2f} ms"
    facts = f"95 % interval {_ap(bounds[0])} to {_ap(bounds[1])}"
    facts += f" over {points} points" if points > 1 else ""
    facts += f", {early.test_images:,} test images"
    facts += f", about {needed:,} would decide" if needed else ""
    return f"{at} {early.name} has mAP {early.map:.3f}, {gap} {names} ({facts})."


def _ap(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"  # adding 0.0 turns -0.0 into 0.0


def _warning(records: Sequence[Record]) -> str:
    forced = next((r for r in records if r.forced), None)
    if forced is None:
        return ""
    reached = f"AP50 {forced.foundation.map50:.3f}, floor {forced.foundation.floor:.3f}"
    return f"WARNING: the baseline missed its foundation gate ({reached}): nothing here can be trusted. "
