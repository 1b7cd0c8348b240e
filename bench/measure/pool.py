"""Precision of any routing in a millisecond. All exits' detections of one class are sorted once; a routing
then only keeps the rows of the exit that answers each image, and what is left lies in the very order in which
COCOeval would have sorted the composed detections. Precision is needed at true positives alone, so the rest
are only counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools.cocoeval import Params

RECALLS = Params("bbox").recThrs
THRESHOLDS = len(Params("bbox").iouThrs)


@dataclass(frozen=True, eq=False)
class Pool:
    """Every exit's detections of one class: P rows by descending score, then image, exit, rank in the image.

    unit: int [P], image * exits + exit. found, ignored: bool [P, IoU thresholds], matched to a box that
    counts, or left out of the count. event: bool [P], either of them at any threshold. tie: int [P], a number
    shared by rows of the same unit and score, -1 for a row alone. positives: int [N], boxes to find per
    image.
    """

    unit: np.ndarray
    found: np.ndarray
    ignored: np.ndarray
    event: np.ndarray
    tie: np.ndarray
    positives: np.ndarray

    @classmethod
    def of(cls, results: Sequence[Sequence[dict[str, np.ndarray] | None]]) -> Pool:
        """From COCOeval.evaluate()'s results for one class and all areas, [exit][image by ascending id]."""
        exits, images = len(results), len(results[0])
        units = [(i * exits + e, results[e][i]) for i in range(images) for e in range(exits)]
        units = [(unit, result) for unit, result in units if result is not None and len(result["dtScores"])]
        unit = np.repeat([u for u, _ in units], [len(r["dtScores"]) for _, r in units]).astype(np.int64)
        scores = np.concatenate([np.empty(0), *(r["dtScores"] for _, r in units)])
        none = np.empty((THRESHOLDS, 0), bool)
        matched = np.concatenate([none, *(r["dtMatches"] for _, r in units)], axis=1).T
        ignored = np.concatenate([none, *(r["dtIgnore"] for _, r in units)], axis=1).T
        by_score = np.argsort(-scores, kind="stable")
        unit, scores, ignored = unit[by_score], scores[by_score], np.ascontiguousarray(ignored[by_score])
        found = matched[by_score] & ~ignored
        event = found.any(1) | ignored.any(1)
        positives = [
            next((np.count_nonzero(r[i]["gtIgnore"] == 0) for r in results if r[i] is not None), 0)
            for i in range(images)
        ]
        return cls(unit, found, ignored, event, _ties(unit, scores), np.array(positives))

    def precision(self, weights: np.ndarray) -> np.ndarray:
        """Interpolated precision float64 [IoU thresholds, 101 recalls], -1 everywhere without a box to find.

        weights: int [N, exits], how often each image is answered by each exit; at most one exit per image.
        Copies of an image count as images of their own, next to each other in the order.
        """
        positives = int(self.positives @ weights.sum(1))
        if positives == 0:
            return np.full((THRESHOLDS, len(RECALLS)), -1.0)
        rows = self._rows(weights.ravel()[self.unit])
        (place,) = np.nonzero(self.event[rows])
        rows = rows[place]
        found = self.found[rows]
        counted = (place + 1)[:, None] - np.cumsum(self.ignored[rows], axis=0)
        return np.stack([_interpolated(counted[found[:, t], t], positives) for t in range(THRESHOLDS)])

    def _rows(self, times: np.ndarray) -> np.ndarray:
        """Indices of the rows taken, each as often as `times` says, in COCOeval's order."""
        if times.max(initial=0) <= 1:
            return np.flatnonzero(times)
        rows = np.repeat(np.arange(len(times)), times)
        (tied,) = np.nonzero(self.tie[rows] >= 0)
        copy = tied - (np.cumsum(times) - times)[rows[tied]]
        rows[tied] = rows[tied][np.lexsort((copy, self.tie[rows[tied]]))]
        return rows


def _interpolated(counted: np.ndarray, positives: int) -> np.ndarray:
    """Precision at the 101 recalls. counted: how many detections count up to each true positive."""
    true = np.arange(1, len(counted) + 1)
    envelope = np.maximum.accumulate((true / (counted + np.spacing(1)))[::-1])[::-1]
    reached = np.searchsorted(true / positives, RECALLS)
    return np.append(envelope, 0.0)[np.minimum(reached, len(envelope))]


def _ties(unit: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """A number per run of rows that share unit and score, -1 for rows alone."""
    same = (unit[1:] == unit[:-1]) & (scores[1:] == scores[:-1])
    run = np.cumsum(np.r_[True, ~same])[: len(unit)]
    alone = ~(np.r_[False, same] | np.r_[same, False])[: len(unit)]
    return np.where(alone, -1, run)
