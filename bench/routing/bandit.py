"""The bandit: which of a set of policies pays best, learned by playing one at a time.

It sees no more than the reward of the policy it plays, as a detector in use would: the F1 of its answer less a price
times its cost. UCB1 (Auer, Cesa-Bianchi and Fischer, Finite-time Analysis of the Multiarmed Bandit Problem, 2002). It
looks at no image: what it settles on is one policy for all of them, so it can be no better than the best it is offered,
and its regret is the price of not knowing which that is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.accuracy.matching import Matches
from bench.accuracy.per_image import f1
from bench.exits.path_costs import PathCosts, Unit
from bench.exits.policy import Policy, static
from bench.measure.exit_table import ExitTable
from bench.routing.search import routings
from models.compiled import compiled
from models.errors import UserError

UCB = "ucb"
WEIGHTS = (0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)  # F1 that the cost of the last exit has to bring
PLAYS = 200_000
GATES = 8  # among the arms: what differs by a hundredth in pay takes UCB1 ten thousands of plays to tell apart


@dataclass(frozen=True)
class Settled:
    """What the bandit settled on at one price of cost.

    Attributes:
        policy: the one played most.
        share: of all plays, in [0, 1].
        regret: mean reward of a play that the best policy in hindsight would have earned more.
    """

    policy: Policy
    share: float
    regret: float

    @property
    def note(self) -> str:
        """The same as text."""
        return f"the bandit's choice in {100 * self.share:.0f} % of its plays on train, regret {self.regret:.4f} a play"


def arms_of(gates: Sequence[Policy], exits: int) -> list[Policy]:
    """The policies to play with: every static exit, and at most GATES of the gates, evenly from first to last.

    Args:
        gates: policies that look at the image.
        exits: how many exits there are.

    Returns:
        The arms, static exits first.
    """
    kept = np.unique(np.linspace(0, len(gates) - 1, GATES).round().astype(int)).tolist() if gates else []
    return [static(exit, exits) for exit in range(exits)] + [gates[index] for index in kept]


def settle(
    arms: Sequence[Policy],
    table: ExitTable,
    matches: Sequence[Matches],
    path_costs: PathCosts,
    unit: Unit,
    seed: int,
    plays: int = PLAYS,
) -> list[Settled]:
    """What UCB1 settles on at each price of WEIGHTS.

    The images come in random order, again and again.

    Args:
        arms: the policies to play with.
        table: made on train.
        matches: the same detections matched, one entry per exit.
        path_costs: of the detector.
        unit: "latency" or "flops".
        seed: of the order of the images.
        plays: how many plays.

    Returns:
        One result per price.

    Raises:
        UserError: the table was not made on train.
    """
    if table.role != "train":
        what = f"a bandit may not play on the {table.role} split"
        raise UserError(what, where="bandit", fix="make the table on train")
    quality = np.stack([f1(one) for one in matches], axis=1)
    exits = routings(arms, table).astype(np.intp)
    good = np.take_along_axis(quality, exits.T, axis=1)
    cost = np.stack([path_costs.relative(arm, unit)[own] for arm, own in zip(arms, exits, strict=True)], axis=1)
    rng, images = np.random.default_rng(seed), len(quality)
    order = np.concatenate([rng.permutation(images) for _ in range(math.ceil(plays / images))])[:plays]
    found = []
    for weight in WEIGHTS:
        least = -weight * cost.max()
        paid = (good - weight * cost - least) / (1 - least)  # in [0, 1], as UCB1 has it
        taken = ucb1(paid, order)
        counts = np.bincount(taken, minlength=len(arms))
        lost = regret(paid, order, taken)[-1] * (1 - least) / plays
        found.append(Settled(arms[int(counts.argmax())], float(counts.max() / plays), float(lost)))
    return found


@compiled
def ucb1(paid: NDArray[np.float64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Plays of UCB1.

    Each arm once, then the one whose mean so far plus the square root of 2 ln t / plays is highest, of equal ones the
    first. Only the rewards of what is played are read.

    Args:
        paid: reward of each arm on each image, float64 [N, K] in [0, 1].
        order: the image of each play, int64 [T].

    Returns:
        The arm of each play, int64 [T].
    """
    arms = paid.shape[1]
    counts, sums, taken = np.zeros(arms), np.zeros(arms), np.empty(len(order), np.int64)
    for t in range(len(order)):
        best, most = t, 0.0
        if t >= arms:
            best, most = 0, -1.0
            for arm in range(arms):
                bound = sums[arm] / counts[arm] + math.sqrt(2 * math.log(t) / counts[arm])
                if bound > most:
                    best, most = arm, bound
        counts[best] += 1
        sums[best] += paid[order[t], best]
        taken[t] = best
    return taken


def regret(paid: NDArray[np.float64], order: NDArray[np.int64], taken: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much less was earned than by the best single arm in hindsight, up to each play.

    Args:
        paid: as for `ucb1`.
        order: as for `ucb1`.
        taken: what `ucb1` returned.

    Returns:
        Cumulative regret, float64 [T].
    """
    best = paid[order].sum(axis=0).argmax()
    return np.cumsum(paid[order, best] - paid[order, taken])
