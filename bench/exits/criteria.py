"""What an exit can know at the moment it answers: each criterion maps its view of the image to one score, high for
leaving, never negative unless it is NEVER. No threshold in here; an exit answers when the score is at least its
policy's threshold. Where it is not plain which way to leave, both are criteria, and val decides.

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
from models.errors import unknown

Criterion = Callable[[View], float]

NEVER = -math.inf


def mean_foreground(view: View) -> float:
    """Mean probability over anchors that there is any object: high on full scenes."""
    return 1.0 - mean_background(view)


def mean_background(view: View) -> float:
    """Mean probability over anchors that there is none: high on scenes with little to find."""
    return pooling.mean(view.probabilities[0].numpy())


def max_score(view: View) -> float:
    """The most confident class score of any anchor."""
    return pooling.highest(view.probabilities.numpy())


def mean_top_scores(view: View) -> float:
    """Mean class score of the ten most confident anchors."""
    return pooling.mean_top(view.probabilities.numpy())


def margin(view: View) -> float:
    """Mean lead of the best class over the next, background included, at the ten most confident anchors."""
    return pooling.mean_margin(view.probabilities.numpy())


def low_entropy(view: View) -> float:
    """One minus the mean entropy of the anchors' classes, as a share of the largest possible; at least 0, where sigmoid
    scores of many classes may well end (`models.scores.sigmoid_probabilities`)."""
    return max(0.0, 1.0 - pooling.mean_entropy(view.probabilities.numpy()))


def low_weighted_entropy(view: View) -> float:
    """As low_entropy, but an anchor weighs as much as it is likely to hold an object: score-weighted uncertainty."""
    return max(0.0, 1.0 - pooling.weighted_mean_entropy(view.probabilities.numpy()))


def expected_objects(view: View) -> float:
    """Sum of the detections' scores, the expected number of objects if scores are calibrated; takes an NMS."""
    return float(view.detections.scores.sum(dtype=np.float64))


def few_objects(view: View) -> float:
    """One over one plus expected_objects: high on scenes with little to find; takes an NMS."""
    return 1.0 / (1.0 + expected_objects(view))


def agreement(view: View) -> float:
    """Share of confident detections shared with the exit before; the first never leaves by it; takes an NMS of each."""
    return agreed(view.detections, view.previous.detections) if view.previous else NEVER


CRITERIA: dict[str, Criterion] = {
    criterion.__name__: criterion
    for criterion in (
        mean_foreground,
        mean_background,
        max_score,
        mean_top_scores,
        margin,
        low_entropy,
        low_weighted_entropy,
        expected_objects,
        few_objects,
        agreement,
    )
}

LEARNED = "learned"  # `bench.routing.learned`: a criterion that is trained for each detector
NAMES = (*CRITERIA, LEARNED)


def check(names: tuple[str, ...]) -> None:
    """UserError with a suggestion unless every name is a criterion."""
    for name in names:
        if name not in NAMES:
            raise unknown("criterion", name, NAMES, where="criteria")
