"""Numbers pooled over an exit's anchors, compiled.

Between two stages of a network every criterion is on the timed path, where a handful of tensor operations takes as long
as a twentieth of the network. All take class probabilities as float32 [1 + C, A], row 0 background, and sum in double
precision. An anchor is whatever an exit scores: a box of a grid, or a query of a detector that predicts a set.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled

TOP = 10  # anchors, more than usually see one object


@compiled
def mean(values: NDArray[np.float32]) -> float:
    """Mean in double precision.

    Args:
        values: float32 [n], n > 0.

    Returns:
        The mean.
    """
    total = 0.0
    for value in values:
        total += value
    return total / len(values)


@compiled
def best_scores(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """The highest class score of each anchor, background excluded.

    Args:
        probabilities: float32 [1 + C, A].

    Returns:
        float32 [A].
    """
    scores = probabilities[1].copy()
    for row in range(2, len(probabilities)):
        for anchor in range(len(scores)):
            scores[anchor] = max(scores[anchor], probabilities[row, anchor])
    return scores


@compiled
def surest(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """The TOP anchors with the highest scores, or all if there are fewer.

    Args:
        scores: [A].

    Returns:
        Anchor indices, the highest score first, of equal scores the earlier anchor first: int64 [min(TOP, A)].
    """
    best, held = np.zeros(TOP, np.int64), 0
    for anchor in range(len(scores)):
        if held == TOP and scores[anchor] <= scores[best[TOP - 1]]:
            continue
        held = min(held + 1, TOP)
        place = held - 1
        while place > 0 and scores[anchor] > scores[best[place - 1]]:
            best[place] = best[place - 1]
            place -= 1
        best[place] = anchor
    return best[:held]


@compiled
def mean_top(probabilities: NDArray[np.float32]) -> float:
    """Mean class score of the TOP most confident anchors.

    Args:
        probabilities: float32 [1 + C, A].

    Returns:
        Mean in [0, 1].
    """
    scores = best_scores(probabilities)
    return mean(scores[surest(scores)])


@compiled
def mean_margin(probabilities: NDArray[np.float32]) -> float:
    """Mean lead of the likeliest class over the next, background included, at the TOP most confident anchors.

    Args:
        probabilities: float32 [1 + C, A].

    Returns:
        Mean in [0, 1].
    """
    total, best = 0.0, surest(best_scores(probabilities))
    for anchor in best:
        first, second = 0.0, 0.0
        for row in range(len(probabilities)):
            value = probabilities[row, anchor]
            if value > first:
                first, second = value, first
            elif value > second:
                second = value
        total += first - second
    return total / len(best)


@compiled
def entropies(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Entropy of each anchor's class distribution, divided by that of the uniform distribution.

    Args:
        probabilities: float32 [1 + C, A].

    Returns:
        float64 [A], in [0, 1] where rows sum to one; of sigmoid scores, which do not, the same sum of -p log p, which
        may exceed 1 (`models.scores.sigmoid_probabilities`).
    """
    found = np.zeros(probabilities.shape[1])
    for row in range(len(probabilities)):
        for anchor in range(len(found)):
            value = probabilities[row, anchor]
            if value > 0:
                found[anchor] -= value * math.log(value)
    return found / math.log(len(probabilities))


@compiled
def weighted_mean_entropy(probabilities: NDArray[np.float32]) -> float:
    """Mean entropy in which an anchor weighs as much as it is likely to hold an object.

    Args:
        probabilities: float32 [1 + C, A].

    Returns:
        Mean in [0, 1]; 0 where no anchor has any foreground.
    """
    total, weights = 0.0, 0.0
    found = entropies(probabilities)
    for anchor in range(len(found)):
        weight = 1.0 - probabilities[0, anchor]
        total += weight * found[anchor]
        weights += weight
    return total / max(weights, 1e-9)


@compiled
def mean_entropy(probabilities: NDArray[np.float32]) -> float:
    """Mean entropy over all anchors.

    Args:
        probabilities: float32 [1 + C, A].

    Returns:
        Mean in [0, 1].
    """
    return entropies(probabilities).mean()


@compiled
def highest(probabilities: NDArray[np.float32]) -> float:
    """The highest class score of any anchor, background excluded.

    Args:
        probabilities: float32 [1 + C, A].

    Returns:
        Score in [0, 1].
    """
    return best_scores(probabilities).max()
