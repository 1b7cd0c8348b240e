"""The reinforced policy: from exit to exit it stops or goes on, with a probability of its own.

It learns from what it is paid where it stops: the exit's F1 on the image less a price times what the way there costs.
REINFORCE (Williams, Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning, 1992) in
expectation: a table knows what every exit would have earned and there are few ways, so their mean takes the place of
samples, and a baseline, which only makes samples less noisy, cancels. A learned gate is asked exit by exit whether an
answer is as good as the last; this one learns what to do, all exits jointly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, minimize
from scipy.special import expit

from bench.accuracy.matching import Matches
from bench.accuracy.per_image import f1
from bench.exits.learned import LearnedGate
from bench.exits.path_costs import PathCosts, Unit
from bench.exits.policy import Policy
from bench.exits.registry import LEARNED
from bench.measure.exit_table import ExitTable
from bench.routing.learned import CONSTANT, features_up_to, for_raw, standardised
from models.errors import UserError

REINFORCED = "reinforced"
PENALTY = 3e-3  # on the squared weights of standardised features, in reward per image
LEANING = 2.0  # logit of a start: far enough from 0 to be a policy, near enough to learn


def rl_policy(table: ExitTable, matches: Sequence[Matches], path_costs: PathCosts, unit: Unit) -> LearnedGate:
    """Train the reinforced policy of a table's detector, paid at the exchange rate.

    Args:
        table: made on train.
        matches: the same detections matched, one entry per exit.
        path_costs: of the detector. To look costs what it costs a learned gate: the sums are the same.
        unit: "latency" or "flops".

    Returns:
        A gate whose score is the probability to stop.

    Raises:
        UserError: the table was not made on train.
    """
    quality = np.stack([f1(one) for one in matches], axis=1)
    costs = path_costs.relative(Policy(LEARNED, (0.5,) * (table.exits - 1)), unit)
    return reinforce(table, quality - exchange_rate(quality, costs) * costs)


def exchange_rate(quality: NDArray[np.float64], costs: NDArray[np.float64]) -> float:
    """The price of cost, in units of quality, that makes neither static end right for all images.

    At this price always stopping at the first exit and never stopping early are paid alike.

    Args:
        quality: F1 of each image at each exit, float64 [N, E] in [0, 1].
        costs: of the way to each exit, float64 [E], as shares of the plain path to the last exit.

    Returns:
        The price; 0 where the first exit is no worse.
    """
    gained = quality.mean(axis=0)[-1] - quality.mean(axis=0)[0]
    return max(0.0, float(gained / (costs[-1] - costs[0])))


def reinforce(table: ExitTable, rewards: NDArray[np.float64]) -> LearnedGate:
    """Train a policy on rewards: a gate whose score is the probability to stop.

    The score is logistic in the features of the exits so far. The mean reward has local optima: an exit that nobody
    reaches learns nothing. So training starts once from leaning towards each static exit, and the best end is kept.

    Args:
        table: made on train, of N images.
        rewards: what each image pays at each exit, float64 [N, E].

    Returns:
        The gate.

    Raises:
        UserError: the table was not made on train.
    """
    if table.role != "train":
        what = f"an RL policy may not be trained on the {table.role} split"
        raise UserError(what, where="reinforced policy", fix="make the table on train")
    inner = table.exits - 1
    inputs, middles, spreads = zip(*(standardised(features_up_to(table, exit)) for exit in range(inner)), strict=True)
    *cuts, size = np.cumsum([one.shape[1] for one in inputs])
    constants = [0, *cuts]
    penalty, low, high = np.full(size, PENALTY), np.full(size, -np.inf), np.full(size, np.inf)
    penalty[constants] = 0.0
    low[constants], high[constants] = CONSTANT

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = [one @ own for one, own in zip(inputs, np.split(weights, cuts), strict=True)]
        value, slope = expected(np.stack(logits, axis=1), rewards)
        rise = [one.T @ own / len(own) for one, own in zip(inputs, slope.T, strict=True)]
        return float(penalty @ weights**2 / 2 - value.mean()), penalty * weights - np.concatenate(rise)

    ends = []
    for exit in range(table.exits):
        start = np.zeros(size)
        start[constants] = np.where(np.arange(inner) >= exit, LEANING, -LEANING)
        ends.append(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=Bounds(low, high)))
    best = np.split(min(ends, key=lambda end: end.fun).x, cuts)
    return LearnedGate(tuple(map(for_raw, best, middles, spreads)))


def expected(
    logits: NDArray[np.float64], rewards: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean reward of each image over all ways, and its slope.

    To stop rather than to go on is worth the reward there less the mean reward of what lies ahead, as often as anybody
    gets there.

    Args:
        logits: of the probability to stop at each exit but the last, float64 [N, E - 1].
        rewards: what is paid where it stops, float64 [N, E].

    Returns:
        Mean rewards, float64 [N], and their derivatives by the logits, float64 [N, E - 1].
    """
    stops = expit(logits)
    ahead = np.empty_like(logits)
    value = rewards[:, -1]
    for exit in reversed(range(logits.shape[1])):
        ahead[:, exit] = value
        value = stops[:, exit] * rewards[:, exit] + (1 - stops[:, exit]) * value
    reached = np.cumprod(np.column_stack([np.ones(len(logits)), 1 - stops[:, :-1]]), axis=1)
    return value, reached * stops * (1 - stops) * (rewards[:, :-1] - ahead)
