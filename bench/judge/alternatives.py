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
from numpy.typing import NDArray

from bench.judge.frontier import frontier, latency_replicates
from bench.records import Record
from bench.routing.alarms import COLLAPSED
from bench.stats import interval


def is_early(record: Record) -> bool:
    """Whether images leave early because a gate says so: several exits, and a criterion that routes between them.

    Args:
        record: of any operating point.

    Returns:
        True where it is early exit.
    """
    return len(record.per_exit) > 1 and record.operating_point.criterion is not None


def is_alternative(record: Record) -> bool:
    """Whether early exit is judged against the record.

    It is where a detector has a single exit, or where one inner exit answers every image, which is a smaller network.
    Everybody at the last of several exits is neither early exit nor an alternative: nobody leaves early, and nobody
    would ship exits that are not used.

    Args:
        record: of any operating point.

    Returns:
        True for an alternative.
    """
    return len(record.per_exit) == 1 or (not is_early(record) and record.exit_share[-1] == 0)


def collapsed(record: Record) -> bool:
    """Whether nearly all images take the same exit, so that its gate, if it has one, chooses nothing.

    Args:
        record: of any operating point.

    Returns:
        True where more than COLLAPSED of them do.
    """
    return max(record.exit_share) > COLLAPSED


def disguised(record: Record) -> bool:
    """Whether a gate sends nearly all images to one inner exit.

    Then it is a shallower network in disguise, and what it reaches is that network's merit.

    Args:
        record: of any operating point.

    Returns:
        True where more than COLLAPSED of them leave there.
    """
    return max(record.exit_share[:-1], default=0) > COLLAPSED


@dataclass(frozen=True, eq=False)
class Resampled:
    """A record as the bootstrap sees it: as measured, and then on each of R draws.

    Attributes:
        record: the record.
        ms: mean latency, float64 [1 + R].
        map: mAP in [0, 1], float64 [1 + R].
    """

    record: Record
    ms: NDArray[np.float64]
    map: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """An early-exit point against one alternative or the line between two, at its own mean latency.

    Attributes:
        early: the early-exit point.
        alternatives: one, or the two of the line.
        differences: its mAP minus theirs, float64 [1 + R], as measured and then on each draw.
        reachable: whether an alternative is that fast; if not, it is set against the fastest.
    """

    early: Resampled
    alternatives: tuple[Resampled, ...]
    differences: NDArray[np.float64]
    reachable: bool

    @property
    def difference(self) -> float:
        """The difference in mAP as measured."""
        return round(float(self.differences[0]), 6)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the alternatives' records."""
        return tuple(one.record.name for one in self.alternatives)


def resampled(records: Sequence[Record]) -> list[Resampled]:
    """Give records their paired draws.

    Args:
        records: of one runtime.

    Returns:
        The records with their draws, in their order.

    Raises:
        UserError: they cannot be paired.
    """
    times = latency_replicates(records)
    return [
        Resampled(r, np.r_[r.latency_ms.mean, ms], np.r_[r.map, r.map_bootstrap])
        for r, ms in zip(records, times, strict=True)
    ]


def edge_of(others: Sequence[Resampled]) -> list[Resampled]:
    """Find those that no other beats as measured.

    Args:
        others: the alternatives.

    Returns:
        Their frontier, fastest first.
    """
    return [others[i] for i in frontier([(one.ms[0], one.map[0]) for one in others])]


def at_equal_time(early: Resampled, edge: Sequence[Resampled]) -> Comparison:
    """Compare an early-exit point with what the alternatives' frontier offers at its time.

    Between two of its points that is their linear mixture, beyond the slowest the best of them. Where none is as fast
    it is set against the fastest.

    Args:
        early: the early-exit point.
        edge: the frontier, fastest first, not empty.

    Returns:
        The comparison.
    """
    left = [one for one in edge if one.ms[0] <= early.ms[0]]
    right = [one for one in edge if one.ms[0] > early.ms[0]]
    if not left:
        return Comparison(early, (right[0],), early.map - right[0].map, reachable=False)
    if not right or left[-1].ms[0] == early.ms[0]:
        return Comparison(early, (left[-1],), early.map - left[-1].map, reachable=True)
    around = left[-1], right[0]
    return Comparison(early, around, early.map - _mixed(early.ms, *around), reachable=True)


def _mixed(ms: NDArray[np.float64], fast: Resampled, slow: Resampled) -> NDArray[np.float64]:
    """The mAP of the mixture that takes as long, float64 [1 + R].

    Where a draw turns the two round, the slow one, which is the more accurate, needs no mixing.
    """
    gap = slow.ms - fast.ms
    share = np.clip(np.divide(ms - fast.ms, gap, out=np.ones_like(ms), where=gap > 0), 0, 1)
    return (1 - share) * fast.map + share * slow.map


def speed_ratios(early: Resampled, edge: Sequence[Resampled]) -> NDArray[np.float64]:
    """How many times as long as an early-exit point the alternatives take to its mAP.

    Their frontier is the line through its points, and the time the first at which it is that high.

    Args:
        early: the early-exit point.
        edge: the frontier, fastest first.

    Returns:
        Ratios, float64 [1 + R], as measured and then on each draw; inf where the frontier does not get there.
    """
    ms, reached = np.array([one.ms for one in edge]), np.array([one.map for one in edge])
    rise = np.diff(reached, axis=0)
    share = np.divide(early.map - reached[:-1], rise, out=np.full_like(rise, np.nan), where=rise != 0)
    crossing = np.where((share > 0) & (share < 1), ms[:-1] + share * np.diff(ms, axis=0), np.inf)
    at_points = np.where(reached >= early.map, ms, np.inf)
    return np.concatenate([at_points, crossing]).min(axis=0) / early.ms


@dataclass(frozen=True)
class Overtaking:
    """An alternative that is faster than an early-exit point, or as fast, and hardly less accurate.

    Attributes:
        alternative: its record.
        ratio: how many times as fast it is.
        low: lower end of the ratio's interval.
        high: upper end.
        loses: upper end of the interval of the mAP that it lacks.
    """

    alternative: Record
    ratio: float
    low: float
    high: float
    loses: float


def overtaken(
    early: Resampled, edge: Sequence[Resampled], level: float, margin: float, most: float
) -> Overtaking | None:
    """Find the fastest alternative that overtakes an early-exit point.

    Args:
        early: the early-exit point.
        edge: the alternatives' frontier, fastest first.
        level: of the intervals, e.g. 0.95.
        margin: it has to be more than 1 + margin times as fast, beyond the interval.
        most: it has to lack less than this of the mAP, beyond the interval.

    Returns:
        The first on the frontier that does; None without one.
    """
    for one in edge:
        ratios = early.ms / one.ms
        low, high = interval(ratios[1:], level)
        loses = interval(early.map[1:] - one.map[1:], level)[1]
        if low > 1 + margin and loses < most:
            return Overtaking(one.record, float(ratios[0]), low, high, loses)
    return None
