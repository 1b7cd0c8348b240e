"""What early exit has to beat: what the frontier of the alternatives offers at its time, and when it offers its mAP.
Which operating points are early exit and which are alternatives is read off them, never off a strategy's name.
Everything is computed for the measurement and for every bootstrap draw at once, so that the noise of accuracies and of
latencies reaches the interval.

Which records form the frontier is decided by the measurement and stays. A frontier chosen anew in every draw would be
the best of many noisy points each time, better than what the others have on average, and the comparison would no longer
be with the records that the verdict names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.judge.frontier import frontier, latency_replicates
from bench.records import Record
from bench.routing.alarms import COLLAPSED
from bench.stats import interval


def is_early(record: Record) -> bool:
    """Whether images leave early because a gate says so: several exits, and a criterion that routes between them."""
    return len(record.per_exit) > 1 and record.operating_point.criterion is not None


def is_alternative(record: Record) -> bool:
    """Whether early exit is judged against the record: a detector with a single exit, or one of whose several exits an
    inner one answers every image, which is a smaller network.

    Everybody at the last of several exits is neither early exit nor an alternative: nobody leaves early, and nobody
    would ship exits that are not used.
    """
    return len(record.per_exit) == 1 or (not is_early(record) and record.exit_share[-1] == 0)


def collapsed(record: Record) -> bool:
    """Whether nearly all images take the same exit, so that its gate, if it has one, chooses nothing."""
    return max(record.exit_share) > COLLAPSED


def disguised(record: Record) -> bool:
    """Whether a gate sends nearly all images to one inner exit: it is a shallower network in disguise, and what it
    reaches is that network's merit."""
    return max(record.exit_share[:-1], default=0) > COLLAPSED


@dataclass(frozen=True, eq=False)
class Resampled:
    """A record as the bootstrap sees it. ms, map: mean latency and mAP, float64 [1 + R], as measured and then on each
    of R draws."""

    record: Record
    ms: np.ndarray
    map: np.ndarray


@dataclass(frozen=True, eq=False)
class Comparison:
    """An early-exit point against one alternative or the line between two, at its own mean latency. differences: its
    mAP minus theirs, float64 [1 + R], as measured and then on each draw. reachable: whether an alternative is that
    fast; if not, it is the fastest."""

    early: Resampled
    alternatives: tuple[Resampled, ...]
    differences: np.ndarray
    reachable: bool

    @property
    def difference(self) -> float:
        return round(float(self.differences[0]), 6)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.record.name for one in self.alternatives)


def resampled(records: Sequence[Record]) -> list[Resampled]:
    """Records of one runtime with their paired draws. Raises UserError when they cannot be paired."""
    times = latency_replicates(records)
    return [
        Resampled(r, np.r_[r.latency_ms.mean, ms], np.r_[r.map, r.map_bootstrap])
        for r, ms in zip(records, times, strict=True)
    ]


def edge_of(others: Sequence[Resampled]) -> list[Resampled]:
    """Those that no other beats as measured, fastest first."""
    return [others[i] for i in frontier([(one.ms[0], one.map[0]) for one in others])]


def at_equal_time(early: Resampled, edge: Sequence[Resampled]) -> Comparison:
    """Compare with what the edge (fastest first) offers at the time of `early`: between two of its points their linear
    mixture, beyond the slowest the best of them. Where none is as fast it is set against the fastest."""
    left = [one for one in edge if one.ms[0] <= early.ms[0]]
    right = [one for one in edge if one.ms[0] > early.ms[0]]
    if not left:
        return Comparison(early, (right[0],), early.map - right[0].map, reachable=False)
    if not right or left[-1].ms[0] == early.ms[0]:
        return Comparison(early, (left[-1],), early.map - left[-1].map, reachable=True)
    around = left[-1], right[0]
    return Comparison(early, around, early.map - _mixed(early.ms, *around), reachable=True)


def _mixed(ms: np.ndarray, fast: Resampled, slow: Resampled) -> np.ndarray:
    """mAP of the mixture that takes as long, float64 [1 + R]. Where a draw turns the two round, the slow one, which is
    the more accurate, needs no mixing."""
    gap = slow.ms - fast.ms
    share = np.clip(np.divide(ms - fast.ms, gap, out=np.ones_like(ms), where=gap > 0), 0, 1)
    return (1 - share) * fast.map + share * slow.map


def speed_ratios(early: Resampled, edge: Sequence[Resampled]) -> np.ndarray:
    """How many times as long as `early` the edge takes to its mAP, float64 [1 + R], as measured and then on each draw;
    inf where it does not get there. The edge is the line through its points, and the time the first at which it is that
    high."""
    ms, reached = np.array([one.ms for one in edge]), np.array([one.map for one in edge])
    rise = np.diff(reached, axis=0)
    share = np.divide(early.map - reached[:-1], rise, out=np.full_like(rise, np.nan), where=rise != 0)
    crossing = np.where((share > 0) & (share < 1), ms[:-1] + share * np.diff(ms, axis=0), np.inf)
    at_points = np.where(reached >= early.map, ms, np.inf)
    return np.concatenate([at_points, crossing]).min(axis=0) / early.ms


@dataclass(frozen=True)
class Overtaking:
    """An alternative that is faster than an early-exit point, or as fast, and hardly less accurate. ratio, low, high:
    how many times as fast, with its interval. loses: upper end of the interval of the mAP that it lacks."""

    alternative: Record
    ratio: float
    low: float
    high: float
    loses: float


def overtaken(
    early: Resampled, edge: Sequence[Resampled], level: float, margin: float, most: float
) -> Overtaking | None:
    """The fastest alternative on the edge that is more than 1 + margin times as fast as `early` and lacks less than
    `most` of its mAP, both beyond the interval of this level; None without one."""
    for one in edge:
        ratios = early.ms / one.ms
        low, high = interval(ratios[1:], level)
        loses = interval(early.map[1:] - one.map[1:], level)[1]
        if low > 1 + margin and loses < most:
            return Overtaking(one.record, float(ratios[0]), low, high, loses)
    return None
