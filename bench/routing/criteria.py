"""What an exit can know at the moment it answers: each criterion maps its class probabilities [1 + C, A] to one score
per image, never negative. No threshold in here; an exit answers when the score is at least its policy's threshold."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from models.errors import unknown

Criterion = Callable[[Tensor], float]


def mean_foreground(probabilities: Tensor) -> float:
    """Mean probability over anchors that there is any object: high on full scenes."""
    return 1.0 - float(probabilities[0].mean())


def mean_background(probabilities: Tensor) -> float:
    """Mean probability over anchors that there is none: high on scenes with little to find."""
    return float(probabilities[0].mean())


def max_score(probabilities: Tensor) -> float:
    """The most confident class score of any anchor."""
    return float(probabilities[1:].max())


CRITERIA: dict[str, Criterion] = {
    criterion.__name__: criterion for criterion in (mean_foreground, mean_background, max_score)
}


def check(names: tuple[str, ...]) -> None:
    """UserError with a suggestion unless every name is a criterion."""
    for name in names:
        if name not in CRITERIA:
            raise unknown("criterion", name, CRITERIA, where="criteria")
