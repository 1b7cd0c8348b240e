"""A policy says which exit answers each image: a criterion and one threshold per exit but the last."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.exits.criteria import Criterion
from bench.exits.registry import CRITERIA
from bench.exits.view import View


@dataclass(frozen=True)
class Policy:
    """Which exit answers each image: exit k when its score is at least thresholds[k], the last exit otherwise.

    Attributes:
        criterion: its name; None for a static policy, which looks at no image and whose thresholds are all -inf or inf.
        thresholds: one per exit but the last, [E - 1]. At inf no image leaves and the criterion is not evaluated.
        gate: the criterion itself where it was learned for one detector, and so is not in CRITERIA.
    """

    criterion: str | None
    thresholds: tuple[float, ...]
    gate: Criterion | None = None

    @cached_property
    def score(self) -> Criterion:
        """The criterion behind the name, looked up once: `answers` is on the timed path."""
        if self.gate is not None:
            return self.gate
        assert self.criterion is not None, "a static policy asks no criterion"
        return CRITERIA.get(self.criterion)

    def answers(self, exit: int, view: View) -> bool:
        """Whether an exit answers.

        Args:
            exit: which exit, from 0, not the last.
            view: the exit's view of the image.

        Returns:
            True when the image leaves here.
        """
        threshold = self.thresholds[exit]
        if self.criterion is None or threshold == math.inf:
            return threshold == -math.inf
        return self.score(view) >= threshold

    def route(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """The exit that answers each image.

        Args:
            scores: criterion scores, float64 [N, E]; the last column is not read.

        Returns:
            Exits from 0, int64 [N].
        """
        thresholds = np.asarray(self.thresholds, dtype=np.float64)
        leaves = np.concatenate([scores[:, :-1] >= thresholds, np.ones((len(scores), 1), bool)], axis=1)
        return leaves.argmax(axis=1)


def static(exit: int, exits: int) -> Policy:
    """The policy that always takes one exit.

    Args:
        exit: which exit, from 0.
        exits: how many exits there are.

    Returns:
        A policy without a criterion.
    """
    return Policy(None, tuple(-math.inf if k == exit else math.inf for k in range(exits - 1)))
