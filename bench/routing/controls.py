"""The controls that stand beside every gate, and how far the gate gets between them.

Below it stands what it has to beat: the same number of images leaving at each exit, but drawn at random. Above it
stands the oracle (`bench.routing.oracle`). Always taking one exit, the other control, is a policy like any other
(`bench.routing.search.static_policies`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.accuracy.matching import Matches
from bench.accuracy.pool import pooled
from bench.records import Drawn
from bench.stats import interval

DRAWS = 200


def random_exits(matches: Sequence[Matches], exits: NDArray[np.integer], seed: int, draws: int = DRAWS) -> Drawn:
    """The mAP when the exits of a policy are dealt out to the images at random.

    Same shares, so the same mean cost, and no knowledge of the images.

    Args:
        matches: one entry per exit.
        exits: the exit of each image under the policy, int [N].
        seed: of the draws.
        draws: how many.

    Returns:
        Mean mAP and its middle 95 %.
    """
    rng = np.random.default_rng(seed)
    dealt = np.array([rng.permutation(exits) for _ in range(draws)])
    reached = np.nan_to_num(pooled(tuple(matches)).map_many(dealt))
    low, high = interval(reached)
    return Drawn(mean=float(np.mean(reached)), low=low, high=high)


def gate_efficiency(gate: float, random: Drawn, oracle: float) -> float | None:
    """The share of what could be gained over chance that the gate gains.

    (gate - random) / (oracle - random), in mAP at equal mean cost. 1 is the oracle, 0 chance, and less is worse than
    chance.

    Args:
        gate: mAP of the gate.
        random: mAP of random exits with the same shares.
        oracle: mAP of the oracle at the same cost.

    Returns:
        The share; None where the oracle is not above the middle 95 % of the random draws, for there chance alone
        explains the distance that the gate's is divided by.
    """
    if oracle <= max(random.mean, random.high):
        return None
    return (gate - random.mean) / (oracle - random.mean)
