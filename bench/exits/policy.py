"""A policy says which exit answers each image: a criterion and one threshold per exit but the last."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.exits.criteria import Criterion
from bench.exits.registry import CRITERIA
from bench.exits.view import View


@dataclass(frozen=True)
class Policy:
    """Exit k answers when its score is >= thresholds[k]; the last exit answers whatever is left.

    A threshold of inf lets nobody leave and looks at nothing. criterion None: a static policy, whose thresholds are
    all -inf or inf. gate: the criterion itself where it was learned for one detector, and so is not in CRITERIA.
    """

    criterion: str | None
    thresholds: tuple[float, ...]
    gate: Criterion | None = None

    @cached_property
    def score(self) -> Criterion:
        """The criterion behind the name, looked up once: `answers` is on the timed path."""
        return self.gate or CRITERIA.get(self.criterion)

    def answers(self, exit: int, view: View) -> bool:
        """Whether this exit (not the last) answers, given its view of the image."""
        threshold = self.thresholds[exit]
        if self.criterion is None or threshold == math.inf:
            return threshold == -math.inf
        return self.score(view) >= threshold

    def route(self, scores: np.ndarray) -> np.ndarray:
        """The exit of each image, int64 [N], from criterion scores [N, E] (E exits, the last column is not read)."""
        thresholds = np.asarray(self.thresholds, dtype=np.float64)
        leaves = np.concatenate([scores[:, :-1] >= thresholds, np.ones((len(scores), 1), bool)], axis=1)
        return leaves.argmax(axis=1)


def static(exit: int, exits: int) -> Policy:
    """Always exit `exit` (from 0) of `exits`."""
    return Policy(None, tuple(-math.inf if k == exit else math.inf for k in range(exits - 1)))
