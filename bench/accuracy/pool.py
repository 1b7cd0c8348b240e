"""Average precision of any routing, compiled.

All exits' detections of a class are sorted once. A routing then only keeps those of the exit that answers each image,
and what is left lies in the very order in which COCOeval would have sorted the composed detections. Precision is needed
at true positives alone, and nine detections in ten match nothing at any threshold: those are only counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numba import prange
from numpy.typing import NDArray
from pycocotools.cocoeval import Params

from bench.accuracy.matching import EVERY, THRESHOLDS, Matches, match
from models.compiled import compiled

RECALLS = Params("bbox").recThrs
LEVELS, PLACES = len(THRESHOLDS), len(RECALLS)
EPSILON = np.spacing(1)

Metric = Literal["map", "map50", "map75"]
_LEVELS: dict[str, slice] = {"map": slice(None), "map50": slice(0, 1), "map75": slice(5, 6)}


class Pool(NamedTuple):
    """All exits' detections, sorted by class, then descending score, image, exit and rank in the image.

    A unit is one exit on one image: image * exits + exit, images by ascending id. An event is a detection that matches
    something at some threshold (V of them); a plain detection matches nothing (F of them).

    Attributes:
        exits: how many exits (E), at most 127.
        order: int64 [N], positions in a routing by ascending image id.
        unit: uint32 [V], the unit of each event.
        found: uint16 [V], as in `Matches`.
        ignored: uint16 [V], as in `Matches`.
        run: int32 [V], how many events from here on share unit and score but match differently.
        before: int64 [V], how many plain detections precede each event, over all classes.
        plain: uint32 [F], the unit of each plain detection.
        wanted: uint32 [B], the image of every box to find.
        events_at: int64 [classes + 1], where the events of each class begin.
        plain_at: int64 [classes + 1], where the plain detections of each class begin.
        wanted_at: int64 [classes + 1], where the boxes of each class begin.
    """

    exits: int
    order: NDArray[np.int64]
    unit: NDArray[np.uint32]
    found: NDArray[np.uint16]
    ignored: NDArray[np.uint16]
    run: NDArray[np.int32]
    before: NDArray[np.int64]
    plain: NDArray[np.uint32]
    wanted: NDArray[np.uint32]
    events_at: NDArray[np.int64]
    plain_at: NDArray[np.int64]
    wanted_at: NDArray[np.int64]

    def map(self, exits: NDArray[np.integer]) -> float:
        """Mean average precision (mAP) of one routing.

        Args:
            exits: int [N]; exit `exits[i]` answers image `image_ids[i]`.

        Returns:
            mAP in [0, 1]; nan where there is nothing to find.
        """
        return float(self.map_many(exits)[0])

    def map_many(
        self, routings: NDArray[np.integer], times: NDArray[np.integer] | None = None, *, metric: Metric = "map"
    ) -> NDArray[np.float64]:
        """The metric of P routings.

        Runs on as many threads as numba is given (NUMBA_NUM_THREADS).

        Args:
            routings: the exit of each image, int [P, N], or [N] for the same one P times.
            times: how often each image counts, int [P, N] or [N], in 0..32767; None: once. Copies of an image count as
                images of their own, next to each other in the order.
            metric: "map", "map50" or "map75".

        Returns:
            float64 [P] in [0, 1]; nan where there is nothing to find.

        Raises:
            ValueError: routings or times have the wrong shape or are out of range.
        """
        reached = _mean_precision(self, self._routings(routings), self._times(times))
        return reached[:, _LEVELS[metric]].mean(axis=1)

    def per_class(self, exits: NDArray[np.integer]) -> NDArray[np.float64]:
        """Average precision of one routing, by class and IoU threshold.

        Args:
            exits: int [N]; exit `exits[i]` answers image `image_ids[i]`.

        Returns:
            float64 [classes, IoU thresholds] in [0, 1]; nan where there is nothing to find.
        """
        return _precision(self, self._routings(exits)[0], self._times(None)[0])

    def _routings(self, routings: NDArray[np.integer]) -> NDArray[np.int8]:
        routings, images = np.atleast_2d(routings), len(self.order)
        if routings.shape[1:] != (images,) or not 0 <= routings.min(initial=0) <= routings.max(initial=0) < self.exits:
            raise ValueError(f"a routing needs one exit in 0..{self.exits - 1} for each of {images} images")
        return np.ascontiguousarray(routings[:, self.order], np.int8)

    def _times(self, times: NDArray[np.integer] | None) -> NDArray[np.int16]:
        times = np.ones((1, len(self.order)), np.int16) if times is None else np.atleast_2d(times)
        if times.shape[1:] != (len(self.order),) or not 0 <= times.min(initial=0) <= times.max(initial=0) < 2**15:
            raise ValueError(f"every one of {len(self.order)} images counts 0 to {2**15 - 1} times")
        return np.ascontiguousarray(times[:, self.order], np.int16)


def pooled(matches: Sequence[Matches], area: str = "all") -> Pool:
    """The pool of a detector's exits for an area range.

    The latest pools are kept, because a search, a bootstrap and the controls all ask for the same ones.

    Args:
        matches: one entry per exit. Exits that were matched for another area range are matched again.
        area: a key of `bench.accuracy.matching.AREAS`.

    Returns:
        The pool.

    Raises:
        ValueError: the exits were matched on different images, or there are more than 127.
    """
    return _pooled(tuple(matches), area)


@lru_cache(maxsize=8)  # two detectors in all area ranges
def _pooled(matches: tuple[Matches, ...], area: str) -> Pool:
    matches = tuple(m if m.area == area else match(m.truth, m.image_ids, m.detections, area=area) for m in matches)
    first = matches[0]
    if any(other.image_ids != first.image_ids for other in matches):
        raise ValueError("the exits were matched on different images")
    if len(matches) > np.iinfo(np.int8).max:
        raise ValueError("a routing holds up to 127 exits")
    kind, scores, found, ignored = (
        np.concatenate([getattr(m, name) for m in matches]) for name in ("kind", "scores", "found", "ignored")
    )
    unit = np.concatenate([m.image * len(matches) + exit for exit, m in enumerate(matches)]).astype(np.uint32)
    order = np.lexsort((unit, -scores, kind))
    order = order[ignored[order] != EVERY]
    kind, scores, found, ignored, unit = kind[order], scores[order], found[order], ignored[order], unit[order]
    tie, size, mixed = _ties(np.stack([kind, unit, scores]), np.stack([found, ignored]))
    event = (found | ignored > 0) | mixed[tie]
    run = np.where(mixed, size, 1)[tie].astype(np.int32)
    classes = np.arange(len(first.categories) + 1)
    return Pool(
        len(matches),
        np.argsort(first.image_ids),
        unit[event],
        found[event],
        ignored[event],
        run[event],
        np.cumsum(~event)[event],
        unit[~event],
        first.wanted[1].astype(np.uint32),
        np.searchsorted(kind[event], classes),
        np.searchsorted(kind[~event], classes),
        np.searchsorted(first.wanted[0], classes),
    )


def _ties(
    place: NDArray[np.float64], matched: NDArray[np.uint16]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Runs of rows with the same place, columns of [3, D].

    Returns which run each row is in, int64 [D], and of each run its size and whether its rows match differently ([2,
    D]). Only then does it matter that copies of an image take turns: a, b, a, b instead of a, a, b, b.
    """
    same = (place[:, 1:] == place[:, :-1]).all(0)
    tie = np.r_[0, np.cumsum(~same)][: place.shape[1]]
    size = np.bincount(tie)
    differs = same & (matched[:, 1:] != matched[:, :-1]).any(0)
    return tie, size, np.bincount(tie[1:], differs, minlength=len(size)) > 0


@compiled(parallel=True)
def _mean_precision(pool: Pool, routings: NDArray[np.int8], times: NDArray[np.int16]) -> NDArray[np.float64]:
    """AP of P routings, mean over the classes with something to find: float64 [P, IoU thresholds].

    routings: int8 [P or 1, N]. times: int16 [P or 1, N].
    """
    count = max(len(routings), len(times))
    reached = np.empty((count, LEVELS))
    for p in prange(count):
        precision = _precision(pool, routings[p % len(routings)], times[p % len(times)])
        for level in range(LEVELS):
            reached[p, level] = np.nanmean(precision[:, level])
    return reached


@compiled
def _precision(pool: Pool, routing: NDArray[np.int8], times: NDArray[np.int16]) -> NDArray[np.float64]:
    """AP of one routing, float64 [classes, IoU thresholds]; nan where there is nothing to find."""
    weights = np.zeros(len(routing) * pool.exits, np.int16)
    for image in range(len(routing)):
        weights[image * pool.exits + routing[image]] = times[image]
    precision = np.full((len(pool.wanted_at) - 1, LEVELS), np.nan)
    for k in range(len(precision)):
        wanted = 0
        for b in range(pool.wanted_at[k], pool.wanted_at[k + 1]):
            wanted += times[pool.wanted[b]]
        if wanted > 0:
            precision[k] = _class_precision(pool, k, weights, wanted)
    return precision


@compiled
def _class_precision(pool: Pool, k: int, weights: NDArray[np.int16], wanted: int) -> NDArray[np.float64]:
    """COCO's interpolated AP of class k, float64 [IoU thresholds].

    weights: int16 [N * exits], how often each unit counts. best[t, r]: the highest precision at a true positive whose
    recall reaches threshold r but not r + 1; what counts at a recall is the best from there on. Within the copies of
    one detection precision never falls, so it is taken once, after all of them.
    """
    true, left_out = np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.int64)
    reached, best = np.zeros(LEVELS, np.int64), np.zeros((LEVELS, PLACES))
    first, counted, v = pool.plain_at[k], 0, pool.events_at[k]
    plain = running_sum(pool.plain[first : pool.plain_at[k + 1]], weights)
    while v < pool.events_at[k + 1]:
        run, copies = pool.run[v], weights[pool.unit[v]]
        rounds, each = (1, copies) if run == 1 else (copies, 1)
        for _ in range(rounds if copies else 0):
            for event in range(v, v + run):
                counted += each
                ahead = counted + plain[pool.before[v] - first]
                found, ignored, t = pool.found[event], pool.ignored[event], 0
                while found | ignored:
                    if ignored & 1:
                        left_out[t] += each
                    elif found & 1:
                        true[t] += each
                        while reached[t] < PLACES and true[t] / wanted >= RECALLS[reached[t]]:
                            reached[t] += 1
                        place = reached[t] - 1
                        best[t, place] = max(best[t, place], true[t] / (ahead - left_out[t] + EPSILON))
                    found, ignored, t = found >> 1, ignored >> 1, t + 1
        v += run
    precision = np.empty(LEVELS)
    for t in range(LEVELS):
        highest, total = 0.0, 0.0
        for place in range(reached[t] - 1, -1, -1):
            highest = max(highest, best[t, place])
            total += highest
        precision[t] = total / PLACES
    return precision


@compiled
def running_sum(units: NDArray[np.uint32], weights: NDArray[np.int16]) -> NDArray[np.int32]:
    """Running count of units, in one pass, because a loop up to each event is four times as slow.

    Args:
        units: unit numbers, [F].
        weights: how often each unit counts, int16 [N * exits].

    Returns:
        How many of the first f units count, int32 [F + 1].
    """
    total, sums = 0, np.zeros(len(units) + 1, np.int32)
    for f in range(len(units)):
        total += weights[units[f]]
        sums[f + 1] = total
    return sums
