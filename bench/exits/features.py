"""What a learned gate is told of an exit's answer: a handful of numbers pooled over its anchors. They come from what
the exit hands out anyway, so they need no NMS and no look into the network; compiled, they cost microseconds."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from torch import Tensor

from bench.exits.pooling import TOP, best_scores, surest

LEVELS = (0.1, 0.3, 0.5)  # foreground probabilities from which anchors are counted


def features(probabilities: Tensor) -> np.ndarray:
    """float64 [F] from class probabilities [1 + C, A], row 0 background.

    The TOP highest class scores, 0 where there are fewer anchors; the lead of the best class over background there; the
    mean foreground probability; where along the anchors' order, which goes from fine to coarse maps in SSD and so from
    small to large objects, the best ones lie; and the logarithms of one plus the foreground's sum and of one plus the
    number of anchors above each of LEVELS.
    """
    return _pooled(probabilities.numpy())


@njit(cache=True)
def _pooled(probabilities: np.ndarray) -> np.ndarray:
    background, scores = probabilities[0], best_scores(probabilities)
    best, total, counts = surest(scores), 0.0, np.zeros(len(LEVELS))
    for anchor in range(len(scores)):
        foreground = 1.0 - background[anchor]
        total += foreground
        for k in range(len(LEVELS)):
            counts[k] += foreground > LEVELS[k]
    found = np.zeros(TOP + 4 + len(LEVELS))
    lead = 0.0
    for k in range(len(best)):
        found[k] = scores[best[k]]
        lead += scores[best[k]] - background[best[k]]
    found[TOP] = lead / len(best)
    found[TOP + 1] = total / len(scores)
    found[TOP + 2] = best.mean() / len(scores)
    found[TOP + 3] = math.log1p(total)
    found[TOP + 4 :] = np.log1p(counts)
    return found
