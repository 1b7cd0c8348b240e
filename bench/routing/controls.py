"""What a gate has to beat: the same number of images leaving at each exit, but drawn at random. Always taking one exit,
the other control, is a policy like any other (`bench.routing.search.static_choices`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.measure.matching import Matches
from bench.measure.pool import pooled
from bench.stats import interval

DRAWS = 200


@dataclass(frozen=True)
class Drawn:
    """mAP over random draws: their mean, and the interval that holds the middle 95 % of them."""

    mean: float
    low: float
    high: float


def random_exits(matches: Sequence[Matches], exits: np.ndarray, seed: int, draws: int = DRAWS) -> Drawn:
    """The mAP when the exits [N] of a policy are dealt out to the images at random: same shares, so the same mean cost,
    and no knowledge of the images."""
    rng = np.random.default_rng(seed)
    dealt = np.array([rng.permutation(exits) for _ in range(draws)])
    reached = np.nan_to_num(pooled(tuple(matches)).map_many(dealt))
    return Drawn(float(np.mean(reached)), *interval(reached))
