"""What an exit can know at the moment it answers: each criterion maps its view of the image to one score, high for
leaving, never negative unless it is NEVER. No threshold in here; an exit answers when the score is at least its
policy's threshold. Where it is not plain which way to leave, both are criteria, and val decides.

Entropy decides in BranchyNet (Teerapittayanon et al. 2016), the best score in MSDNet (Huang et al. 2018); margin and
entropy come from uncertainty sampling (Settles 2009). Probabilities are [1 + C, A], row 0 is background, A >= TOP.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bench.routing.agreement import agreed
from bench.routing.features import TOP
from bench.routing.view import View
from models.errors import unknown

Criterion = Callable[[View], float]

NEVER = -math.inf


def mean_foreground(view: View) -> float:
    """Mean probability over anchors that there is any object: high on full scenes."""
    return 1.0 - float(view.probabilities[0].mean())


def mean_background(view: View) -> float:
    """Mean probability over anchors that there is none: high on scenes with little to find."""
    return float(view.probabilities[0].mean())


def max_score(view: View) -> float:
    """The most confident class score of any anchor."""
    return float(view.probabilities[1:].max())


def mean_top_scores(view: View) -> float:
    """Mean class score of the ten most confident anchors."""
    return float(surest(view.probabilities)[0].mean())


def margin(view: View) -> float:
    """Mean lead of the best class over the next, background included, at the ten most confident anchors."""
    _, anchors = surest(view.probabilities)
    best, second = view.probabilities[:, anchors].topk(2, dim=0).values
    return float((best - second).mean())


def low_entropy(view: View) -> float:
    """One minus the mean entropy of the anchors' classes, as a share of the largest possible."""
    return max(0.0, 1.0 - float(entropy(view.probabilities).mean()))


def low_weighted_entropy(view: View) -> float:
    """As low_entropy, but an anchor weighs as much as it is likely to hold an object: score-weighted uncertainty."""
    weights = 1.0 - view.probabilities[0]
    return max(0.0, 1.0 - float(weights @ entropy(view.probabilities) / weights.sum().clamp(min=1e-9)))


def expected_objects(view: View) -> float:
    """Sum of the detections' scores, the expected number of objects if scores are calibrated; takes an NMS."""
    return float(view.detections.scores.sum())


def few_objects(view: View) -> float:
    """One over one plus expected_objects: high on scenes with little to find; takes an NMS."""
    return 1.0 / (1.0 + expected_objects(view))


def agreement(view: View) -> float:
    """Share of confident detections shared with the exit before; the first never leaves by it; takes an NMS of each."""
    return agreed(view.detections, view.previous.detections) if view.previous else NEVER


def surest(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """The anchors with the TOP highest class scores: those scores, and where they are, [TOP] each."""
    return probabilities[1:].amax(0).topk(TOP)


def entropy(probabilities: Tensor) -> Tensor:
    """Of each anchor's class distribution: [1 + C, A] -> [A], divided by the entropy of all classes alike."""
    return torch.special.entr(probabilities).sum(0) / math.log(len(probabilities))


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
