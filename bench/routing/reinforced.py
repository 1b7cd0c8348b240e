"""The reinforced agent: from exit to exit it stops or goes on, with a probability of its own, and learns from what it
is paid where it stops: the exit's F1 on the image less a price times what the way there costs. REINFORCE (Williams,
Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning, 1992) in expectation: a table
knows what every exit would have earned and there are few ways, so their mean takes the place of samples, and a
baseline, which only makes samples less noisy, cancels. A learned gate is asked exit by exit whether an answer is as
good as the last; the agent learns what to do, all exits jointly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
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


def agent(table: ExitTable, matches: Sequence[Matches], prices: PathCosts, unit: Unit) -> LearnedGate:
    """The agent of a table's detector, paid at the exchange rate. Its looks cost what those of a learned gate cost,
    which are the same sums. matches: one per exit. Raises UserError for a table made on val or test."""
    quality = np.stack([f1(one) for one in matches], axis=1)
    costs = prices.relative(Policy(LEARNED, (0.5,) * (table.exits - 1)), unit)
    return reinforce(table, quality - exchange_rate(quality, costs) * costs)


def exchange_rate(quality: np.ndarray, costs: np.ndarray) -> float:
    """The price of cost [E], in units of quality [N, E], at which always stopping at the first exit and never stopping
    early are paid alike, so that neither is right for all images; 0 where the first exit is no worse."""
    gained = quality.mean(axis=0)[-1] - quality.mean(axis=0)[0]
    return max(0.0, float(gained / (costs[-1] - costs[0])))


def reinforce(table: ExitTable, rewards: np.ndarray) -> LearnedGate:
    """The agent that is paid rewards, float64 [N, E]: a gate whose score is the probability to stop, logistic in the
    features of the exits so far.

    The mean reward has local optima: an exit that nobody reaches learns nothing. So it starts once from leaning towards
    each static exit, and the best end is kept. Raises UserError for a table made on val or test.
    """
    if table.role != "train":
        what = f"an agent may not be trained on the {table.role} split"
        raise UserError(what, where="reinforced agent", fix="make the table on train")
    inner = table.exits - 1
    inputs, middles, spreads = zip(*(standardised(features_up_to(table, exit)) for exit in range(inner)), strict=True)
    *cuts, size = np.cumsum([one.shape[1] for one in inputs])
    constants = [0, *cuts]
    penalty, bounds = np.full(size, PENALTY), np.full((size, 2), [-np.inf, np.inf])
    penalty[constants], bounds[constants] = 0.0, CONSTANT

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logits = [one @ own for one, own in zip(inputs, np.split(weights, cuts), strict=True)]
        value, slope = expected(np.stack(logits, axis=1), rewards)
        rise = [one.T @ own / len(own) for one, own in zip(inputs, slope.T, strict=True)]
        return penalty @ weights**2 / 2 - value.mean(), penalty * weights - np.concatenate(rise)

    ends = []
    for exit in range(table.exits):
        start = np.zeros(size)
        start[constants] = np.where(np.arange(inner) >= exit, LEANING, -LEANING)
        ends.append(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds))
    best = np.split(min(ends, key=lambda end: end.fun).x, cuts)
    return LearnedGate(tuple(map(for_raw, best, middles, spreads)))


def expected(logits: np.ndarray, rewards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each image the mean reward over all ways, float64 [N], where exit k stops with the probability whose logit is
    logits [N, E - 1] and is then paid rewards [N, E]; and its derivatives by the logits, [N, E - 1].

    To stop rather than to go on is worth the reward there less the mean reward of what lies ahead, as often as anybody
    gets there.
    """
    stops = expit(logits)
    ahead = np.empty_like(logits)
    value = rewards[:, -1]
    for exit in reversed(range(logits.shape[1])):
        ahead[:, exit] = value
        value = stops[:, exit] * rewards[:, exit] + (1 - stops[:, exit]) * value
    reached = np.cumprod(np.column_stack([np.ones(len(logits)), 1 - stops[:, :-1]]), axis=1)
    return value, reached * stops * (1 - stops) * (rewards[:, :-1] - ahead)
