"""What each image adds to the mAP by leaving at each exit, to first order: its negative is the per-image loss that the
oracle minimises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.measure.accuracy import Matches


@dataclass(frozen=True, eq=False)
class Ranked:
    """Every exit's detections of one class, P rows by descending score.

    image, exit: int [P], positions. hit, alarm: bool [P, IoU thresholds], matched to a box or to none; neither where
    the detection is left out of the count. boxes: how many there are to find.
    """

    image: np.ndarray
    exit: np.ndarray
    hit: np.ndarray
    alarm: np.ndarray
    boxes: int

    @classmethod
    def of(cls, matches: Sequence[Matches], category: int) -> Ranked:
        """From every exit's matches; category: position of a class with boxes."""
        units = [
            (image, exit, result)
            for exit, one in enumerate(matches)
            for image, result in zip(one.order, one.results[category][0], strict=True)
            if result is not None
        ]
        order = np.argsort(-np.concatenate([result["dtScores"] for *_, result in units]), kind="stable")
        lengths = [len(result["dtScores"]) for *_, result in units]
        image, exit = (np.repeat([unit[part] for unit in units], lengths)[order] for part in (0, 1))
        matched, ignored = (
            np.concatenate([result[key] for *_, result in units], axis=1).T[order].astype(bool)
            for key in ("dtMatches", "dtIgnore")
        )
        return cls(image, exit, matched & ~ignored, ~(matched | ignored), _boxes(matches[0], category))

    def adds(self, exits: np.ndarray) -> np.ndarray:
        """What each row adds to this class's AP when the images leave at exits [N], float64 [P]."""
        taken = exits[self.image] == self.exit
        before = np.cumsum(taken) - taken
        hit = self.hit[taken]
        hits, shown = np.cumsum(hit, axis=0), np.cumsum(hit | self.alarm[taken], axis=0)
        moves = hit / np.maximum(shown * (shown + 1), 1)
        raised, lowered = (_from_here_on(moves * part)[before + taken] for part in (shown - hits, hits))
        none = np.zeros((1, hits.shape[1]), int)
        hits, shown = (np.concatenate([none, counts])[before] for counts in (hits, shown))
        return (self.hit * ((hits + 1) / (shown + 1) + raised) - self.alarm * lowered).mean(axis=1) / self.boxes


def ranked(matches: Sequence[Matches]) -> list[Ranked]:
    """One Ranked per class that has boxes to find."""
    return [Ranked.of(matches, k) for k in range(len(matches[0].categories)) if _boxes(matches[0], k)]


def worth(classes: Sequence[Ranked], exits: np.ndarray, count: int) -> np.ndarray:
    """What every image adds to the mAP at each of `count` exits, the others leaving at exits [N]: float64 [N, count].

    AP is close to the mean over all boxes of the precision at their hits. A hit adds the precision at its own rank and
    raises it for the hits below; a false alarm lowers it for those. So an image is worth the sum over its detections,
    whether or not it has boxes, and nothing without detections; unlike a loss that sees one image alone, it knows that
    a false alarm is cheap below most hits and dear above them. First order: other images are held where they are.
    """
    total = np.zeros((len(exits), count))
    for one in classes:
        unit = one.image * count + one.exit
        total += np.bincount(unit, one.adds(exits), minlength=total.size).reshape(total.shape) / len(classes)
    return total


def _boxes(matches: Matches, category: int) -> int:
    found = matches.results[category][0]
    return sum(np.count_nonzero(result["gtIgnore"] == 0) for result in found if result is not None)


def _from_here_on(values: np.ndarray) -> np.ndarray:
    """Sums of values [p, ...] from each row to the last, and zero behind it: [p + 1, ...]."""
    return np.concatenate([np.cumsum(values[::-1], axis=0)[::-1], np.zeros((1, *values.shape[1:]))])
