"""Two runs of one test split, pair by pair: how far mAP and time of the records of the same name and runtime moved.

And whether images and clock settle it. Accuracies are compared on the same draws of images. Times did not share rounds:
a ratio stands beside one of speed-ups over each run's own baseline, and detectors that nobody changed show how far even
that moves by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from bench.judge.groups import by_runtime, short_name
from bench.records import Record, baseline_of, same_split
from bench.stats import bonferroni, group_medians, interval, resample
from models.errors import UserError

LEVEL = 0.95
MAP_MARGIN = 0.005  # about 2 % (verdict.TOLERATED) of the mAP of a small detector on photographs
TIME_MARGIN = 0.02  # one detector timed twice in one run differs by up to that (`noise` in the reference study)
RESAMPLES = 2000
FEWEST = 3  # images; of two, Student's t is too wide for numbers

Decision = Literal["better", "worse", "same", "undecided"]
Pair = tuple[Record, Record]


@dataclass(frozen=True)
class Estimate:
    """A number, its interval, and what the interval says of B.

    Attributes:
        value: as measured.
        low: lower end of its interval.
        high: upper end.
        decision: `better`, `worse`, `same`, or `undecided`.
    """

    value: float
    low: float
    high: float
    decision: Decision


@dataclass(frozen=True)
class Change:
    """One pair of records.

    Attributes:
        name: of both, without the runtime.
        runtime: of both.
        same_weights: whether both have the same weights.
        same_policy: whether the same criterion and thresholds route the images.
        unchanged: whether these, precision, processor, threads and libraries are all the same, so that a move in time
            is not the detector's.
        map_a: mAP of A, in [0, 1].
        map_b: mAP of B, in [0, 1].
        map: mAP of B minus that of A.
        ms_a: mean latency of A.
        ms_b: mean latency of B.
        time: ms of A over ms of B, above 1 when B is faster, as the clock read.
        speed_up: speed-up of B over that of A, each over its own run's fp32 baseline on the runtime, in which what
            slowed a whole run cancels; None for the baselines themselves and without them.
    """

    name: str
    runtime: str
    same_weights: bool
    same_policy: bool
    unchanged: bool
    map_a: float
    map_b: float
    map: Estimate
    ms_a: float
    ms_b: float
    time: Estimate
    speed_up: Estimate | None


@dataclass(frozen=True)
class Comparison:
    """Two runs and what changed.

    Attributes:
        a: records of the one.
        b: records of the other.
        changes: of the pairs, in A's order, runtime by runtime.
        only_a: A's records without a partner.
        only_b: B's records without a partner.
        level: that of every single interval; at this level those of one quantity hold together at LEVEL.
        moved: by runtime, the largest factor, above 1, by which the speed-up of an unchanged detector moved.
    """

    a: tuple[Record, ...]
    b: tuple[Record, ...]
    changes: tuple[Change, ...]
    only_a: tuple[Record, ...]
    only_b: tuple[Record, ...]
    level: float
    moved: dict[str, float]


def compare(a: Sequence[Record], b: Sequence[Record]) -> Comparison:
    """Compare two runs.

    Args:
        a: records of the one, not empty.
        b: records of the other, not empty.

    Returns:
        What changed from A to B.

    Raises:
        UserError: their test splits, seeds or numbers of resamples differ, since only the same draws can be paired;
            they share no record; or one has fewer than FEWEST images.
    """
    same_split([*a, *b])
    _same_draws(a, b)
    partners = {_key(r): r for r in b}
    pairs = [(one, partners[_key(one)]) for here in by_runtime(a).values() for one in here if _key(one) in partners]
    if not pairs:
        fix = "a pair needs the same name and runtime; bench report shows each run's"
        raise UserError("no record of A is in B", where="compare", fix=fix)
    level, known, moves = bonferroni(LEVEL, len(pairs)), {_key(r) for r in a}, _moves(pairs, a, b)
    return Comparison(
        a=tuple(a),
        b=tuple(b),
        changes=tuple(_change(one, other, a, b, level, moves) for one, other in pairs),
        only_a=tuple(r for r in a if _key(r) not in partners),
        only_b=tuple(r for r in b if _key(r) not in known),
        level=level,
        moved={runtime: float(np.exp(_largest(moves, runtime))) for _, runtime in moves},
    )


def decide(low: float, high: float, margin: float) -> Decision:
    """Say what the interval of a gain says of B.

    `same` only if all of it is within the margin of 0, for an interval that merely holds 0 is `undecided`; otherwise
    the side of 0 that it lies on.

    Args:
        low: lower end of the interval.
        high: upper end.
        margin: what makes no difference to a user.

    Returns:
        The decision.
    """
    if -margin <= low and high <= margin:
        return "same"
    if low > 0:
        return "better"
    return "worse" if high < 0 else "undecided"


def noise(a: Record, b: Record) -> float:
    """How far off a ratio of two runs' times may be for no reason.

    What the two runs' baselines differ from themselves when timed twice, added up.

    Args:
        a: record of the one run.
        b: record of the other.

    Returns:
        A natural logarithm, not negative.
    """
    return abs(np.log(a.noise.value)) + abs(np.log(b.noise.value))


def _key(record: Record) -> tuple[str, str]:
    return short_name(record), record.runtime


def _same_draws(a: Sequence[Record], b: Sequence[Record]) -> None:
    """Refuse what cannot be paired: replicate i of both has to be the same draw of images."""
    for what, of in {"seed": lambda r: r.seed, "number of bootstrap resamples": lambda r: len(r.map_bootstrap)}.items():
        here, there = (sorted({of(r) for r in run}) for run in (a, b))
        if here != there or len(here) > 1:
            found = " and ".join(", ".join(map(str, values)) for values in (here, there))
            fix = "compare runs of one seed and one measure.resamples: only then are their draws of images the same"
            raise UserError(f"{what} differs: {found}", where="compare", fix=fix)
    for record in (*a, *b):
        if (images := min(record.test_images, len(set(record.latency_ms.images)))) < FEWEST:
            what = f"measured on {images} image{'s' * (images > 1)}, too few for an interval"
            raise UserError(what, where=record.name, fix=f"measure on {FEWEST} or more")


def _same_policy(a: Record, b: Record) -> bool:
    here, there = a.operating_point, b.operating_point
    return (here.criterion, here.thresholds) == (there.criterion, there.thresholds)


def _unchanged(a: Record, b: Record) -> bool:
    def of(record: Record) -> tuple:
        machine = record.environment
        return record.weights_hash, record.precision, machine.cpu, machine.threads, machine.libraries

    return of(a) == of(b) and _same_policy(a, b)


def _moves(pairs: Sequence[Pair], a: Sequence[Record], b: Sequence[Record]) -> dict[tuple[str, str], float]:
    """How far the speed-up of each unchanged detector moved between the runs: the size of its ratio's logarithm."""
    found = {}
    for one, other in pairs:
        if _unchanged(one, other) and (factors := _speed_ups(one, other, a, b)):
            found[_key(one)] = abs(sum(np.log(slow.latency_ms.mean / fast.latency_ms.mean) for slow, fast in factors))
    return found


def _largest(moves: dict[tuple[str, str], float], runtime: str, but: str = "") -> float:
    return max((moved for (name, where), moved in moves.items() if where == runtime and name != but), default=0.0)


def _speed_ups(one: Record, other: Record, a: Sequence[Record], b: Sequence[Record]) -> list[Pair] | None:
    """Speed-up of `other` in its run b over that of `one` in a, as ratios to be multiplied.

    None when a baseline is missing, or when these two are the baselines.
    """
    base, base_other = baseline_of(a, one.runtime), baseline_of(b, one.runtime)
    if base is None or base_other is None or (one is base and other is base_other):
        return None
    return [(one, other), (base_other, base)]


def _change(
    one: Record,
    other: Record,
    a: Sequence[Record],
    b: Sequence[Record],
    level: float,
    moves: dict[tuple[str, str], float],
) -> Change:
    name, off = short_name(one), noise(one, other)
    speed_ups = _speed_ups(one, other, a, b)
    return Change(
        name=name,
        runtime=one.runtime,
        same_weights=one.weights_hash == other.weights_hash,
        same_policy=_same_policy(one, other),
        unchanged=_unchanged(one, other),
        map_a=one.map,
        map_b=other.map,
        map=_gain(one, other, level),
        ms_a=one.latency_ms.mean,
        ms_b=other.latency_ms.mean,
        time=_ratio([(one, other)], level, off),
        speed_up=_ratio(speed_ups, level, max(off, _largest(moves, one.runtime, but=name))) if speed_ups else None,
    )


def _gain(a: Record, b: Record, level: float) -> Estimate:
    """Gain of mAP from a to b over the same draws of the test images."""
    value = round(b.map - a.map, 9)
    low, high = _bounds(value, np.subtract(b.map_bootstrap, a.map_bootstrap), a.test_images, level)
    low, high = max(low, -1.0), min(high, 1.0)
    return Estimate(value, low, high, decide(low, high, MAP_MARGIN))


def _ratio(factors: Sequence[Pair], level: float, off: float) -> Estimate:
    """The product of ratios of mean times, each of one record's over another's.

    Its interval is widened by `off` (a logarithm) either way unless the times of every pair are the same samples.
    """
    logs = np.sum([_log_means(slow) - _log_means(fast) for slow, fast in factors], axis=0)
    images = min(len(set(r.latency_ms.images)) for pair in factors for r in pair)
    low, high = _bounds(logs[0], logs[1:], images, level)
    if any(slow.latency_ms.samples != fast.latency_ms.samples for slow, fast in factors):
        low, high = low - off, high + off
    decision = decide(low, high, float(np.log1p(TIME_MARGIN)))
    return Estimate(float(np.exp(logs[0])), float(np.exp(low)), float(np.exp(high)), decision)


def _bounds(value: float, replicates: NDArray[np.float64], images: int, level: float) -> tuple[float, float]:
    """The percentile interval of bootstrap replicates, nowhere narrower than Student's t with their standard error.

    Replicates [n] do not reach into tails much thinner than 1 / n, which is where many comparisons look, and percentile
    intervals of few images are too narrow (Hesterberg, What Teachers Should Know About the Bootstrap, 2015).
    """
    low, high = interval(replicates, level)
    reach = float(stdtrit(images - 1, (1 + level) / 2) * np.std(replicates) * np.sqrt(images / (images - 1)))
    return min(low, value - reach), max(high, value + reach)


def _log_means(record: Record) -> NDArray[np.float64]:
    """Logarithm of the mean ms over all timed images, then over each draw of them, float64 [1 + RESAMPLES]."""
    return _drawn(record.latency_ms.samples, record.latency_ms.images, record.seed)


@lru_cache(maxsize=16)  # a baseline is asked for with every pair
def _drawn(samples: tuple[float, ...], images: tuple[int, ...], seed: int) -> NDArray[np.float64]:
    return np.log(_weights(tuple(sorted(set(images))), seed) @ group_medians(samples, images))


@lru_cache(maxsize=4)
def _weights(images: tuple[int, ...], seed: int) -> NDArray[np.float64]:
    """What each image counts, float64 [1 + RESAMPLES, images]: alike, then as often as drawn.

    The images' ids seed the draws, so records timed on the same images share them and others are drawn independently.
    """
    draws = resample(len(images), RESAMPLES, abs(hash((seed, images))))
    drawn = [np.bincount(draw, minlength=len(images)) for draw in draws]
    return np.stack([np.ones(len(images)), *drawn]) / len(images)
