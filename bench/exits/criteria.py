"""Criteria: each maps what an exit sees of an image to one score, high for leaving.

A score is never negative unless it is NEVER. No threshold in here: an exit answers when the score is at least its
policy's threshold. Where it is not plain which way to leave, both directions are criteria, and val decides. They are
found by name (`bench.exits.registry`).

Entropy decides in BranchyNet (Teerapittayanon et al. 2016), the best score in MSDNet (Huang et al. 2018); margin and
entropy come from uncertainty sampling (Settles 2009). What they pool is compiled (`bench.exits.pooling`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bench.exits import pooling
from bench.exits.agreement import agreed
from bench.exits.view import View

Criterion = Callable[[View], float]

NEVER = -math.inf


def mean_foreground(view: View) -> float:
    """Mean probability over anchors that there is any object: high on full scenes."""
    return 1.0 - mean_background(view)


def mean_background(view: View) -> float:
    """Mean probability over anchors that there is no object: high on scenes with little to find."""
    return pooling.mean(view.probabilities[0].numpy())


def max_score(view: View) -> float:
    """The highest class score of any anchor."""
    return pooling.highest(view.probabilities.numpy())


def mean_top_scores(view: View) -> float:
    """Mean class score of the ten most confident anchors."""
    return pooling.mean_top(view.probabilities.numpy())


def margin(view: View) -> float:
    """Mean lead of the best class over the next, background included, at the ten most confident anchors."""
    return pooling.mean_margin(view.probabilities.numpy())


def low_entropy(view: View) -> float:
    """One minus the mean entropy of the anchors' class distributions, as a share of the largest possible, or 0."""
    return max(0.0, 1.0 - pooling.mean_entropy(view.probabilities.numpy()))


def low_weighted_entropy(view: View) -> float:
    """As `low_entropy`, but each anchor weighs as much as it is likely to hold an object."""
    return max(0.0, 1.0 - pooling.weighted_mean_entropy(view.probabilities.numpy()))


def expected_objects(view: View) -> float:
    """Sum of the detections' scores: the expected number of objects if scores are calibrated. Needs an NMS."""
    return float(view.detections.scores.sum(dtype=np.float64))


def few_objects(view: View) -> float:
    """One over one plus `expected_objects`: high on scenes with little to find. Needs an NMS."""
    return 1.0 / (1.0 + expected_objects(view))


def agreement(view: View) -> float:
    """Share of confident detections in common with the exit before; NEVER at the first exit. Needs an NMS of both."""
    return agreed(view.detections, view.previous.detections) if view.previous else NEVER
