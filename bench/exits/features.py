"""The features that a learned gate reads of an exit's answer: a handful of numbers pooled over its anchors.

They come from the class probabilities that the exit gives anyway, so they need no NMS and no access to the network;
compiled, they cost microseconds.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.exits.pooling import TOP, best_scores, surest
from models.compiled import compiled

LEVELS = (0.1, 0.3, 0.5)  # foreground probabilities from which anchors are counted


def features(probabilities: Tensor) -> NDArray[np.float64]:
    """Pooled features of one exit's class probabilities on one image.

    In this order: the TOP highest class scores, 0 where there are fewer anchors; the mean lead of the best class over
    background there; the mean foreground probability; the mean position of these anchors along the order of all
    anchors, in [0, 1] (in SSD the order goes from fine to coarse maps, so from small to large objects); the logarithm
    of one plus the summed foreground; and the logarithms of one plus the number of anchors above each of LEVELS.

    Args:
        probabilities: float32 [1 + C, A], row 0 is background.

    Returns:
        float64 [F].
    """
    return _pooled(probabilities.numpy())


@compiled
def _pooled(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
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
