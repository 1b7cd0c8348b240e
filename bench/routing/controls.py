"""What stands beside every gate: below it what it has to beat, the same number of images leaving at each exit but drawn
at random; above it the oracle (`bench.routing.oracle`); and how far it gets between the two. Always taking one exit,
the other control, is a policy like any other (`bench.routing.search.static_choices`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.accuracy.matching import Matches
from bench.accuracy.pool import pooled
from bench.records import Drawn
from bench.stats import interval

DRAWS = 200


def random_exits(matches: Sequence[Matches], exits: np.ndarray, seed: int, draws: int = DRAWS) -> Drawn:
    """The mAP when the exits [N] of a policy are dealt out to the images at random: same shares, so the same mean cost,
    and no knowledge of the images."""
    rng = np.random.default_rng(seed)
    dealt = np.array([rng.permutation(exits) for _ in range(draws)])
    reached = np.nan_to_num(pooled(tuple(matches)).map_many(dealt))
    low, high = interval(reached)
    return Drawn(mean=float(np.mean(reached)), low=low, high=high)


def gate_efficiency(gate: float, random: Drawn, oracle: float) -> float | None:
    """The share of what could be gained over chance that the gate gains: (gate - random) / (oracle - random), in mAP at
    equal mean cost. 1 is the oracle, 0 chance, and less is worse than chance.

    None where the oracle is not above the middle 95 % of the random draws: there chance alone explains the distance
    that the gate's is divided by.
    """
    if oracle <= max(random.mean, random.high):
        return None
    return (gate - random.mean) / (oracle - random.mean)
