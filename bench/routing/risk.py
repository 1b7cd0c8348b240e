"""A policy with a promise: with probability 1 - delta over the draw of the val images, the mean loss against the last
exit is at most epsilon on images like these, whatever their distribution. Learn then Test (Angelopoulos et al. 2021):
each policy is a hypothesis to reject, in an order fixed before val is looked at (on train), until one stands."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import binom

from bench.accuracy.matching import Matches
from bench.accuracy.per_image import f1
from bench.exits.criteria import Criterion
from bench.exits.path_costs import PathCosts, Unit
from bench.exits.policy import Policy, static
from bench.measure.exit_table import ExitTable
from bench.routing.search import Choice, exit_shares, mean_costs, policies, routings
from models.errors import UserError

STEPS = 40  # policies in the sequence: each is one more chance to stop too early


def losses(matches: Sequence[Matches]) -> np.ndarray:
    """The loss that risk is the mean of: how far an exit's F1 (`bench.accuracy.per_image`) is below the last exit's on
    the same image, 0 where it is not. float64 [N, E] in [0, 1]. What an exit does better is not set against it."""
    quality = np.stack([f1(one) for one in matches], axis=1)
    return np.maximum(quality[:, -1:] - quality, 0.0)


def p_value(mean: float, images: int, epsilon: float) -> float:
    """How likely a mean loss of at most `mean` over `images` independent losses in [0, 1] is at most, when the true one
    exceeds epsilon: Hoeffding's and Bentkus' bounds, the smaller of both (Bates et al., Distribution-Free,
    Risk-Controlling Prediction Sets, 2021)."""
    if mean >= epsilon:
        return 1.0
    gap = (1 - mean) * math.log((1 - mean) / (1 - epsilon)) + (mean * math.log(mean / epsilon) if mean > 0 else 0.0)
    bentkus = math.e * binom.cdf(math.ceil(round(images * mean, 9)), images, epsilon)
    return float(min(math.exp(-images * gap), bentkus, 1.0))


def sequence(
    table: ExitTable,
    matches: Sequence[Matches],
    path_costs: PathCosts,
    criteria: Sequence[str],
    unit: Unit,
    gate: Criterion | None = None,
) -> list[Policy]:
    """Policies from the dearest to the cheapest, at most STEPS: at evenly spaced costs, of those that cost no more the
    one with the smallest mean loss on this table. Raises UserError unless the table was made on train."""
    if table.role != "train":
        raise UserError(
            f"the order of the tests may not come from the {table.role} split", where="risk control", fix="use train"
        )
    tried = policies(table, criteria, gate)
    exits = routings(tried, table)
    loss = np.take_along_axis(losses(matches)[None], exits[..., None].astype(np.intp), axis=2)[..., 0].mean(axis=1)
    cost = mean_costs(tried, exit_shares(exits, table.exits), path_costs, unit)
    levels = np.linspace(cost.max(), cost.min(), STEPS)
    picked = [min(np.flatnonzero(cost <= level), key=lambda p: (loss[p], -cost[p])) for level in levels]
    return [tried[p] for p in dict.fromkeys(picked)]


def controlled(
    candidates: Sequence[Policy], table: ExitTable, matches: Sequence[Matches], epsilon: float, delta: float
) -> Choice:
    """The last of `candidates` before the first whose risk is not shown to be at most epsilon, at error rate delta; the
    last exit for everybody where already the first is not. Raises UserError for a table made on test."""
    if table.role == "test":
        raise UserError("risk may not be controlled on the test split", where="risk control", fix="use val")
    loss = losses(matches)
    kept, reached = static(table.exits - 1, table.exits), 0.0
    for policy in candidates:
        mean = float(np.mean(loss[np.arange(len(loss)), policy.route(table.scores[policy.criterion])]))
        if p_value(mean, len(loss), epsilon) > delta:
            break
        kept, reached = policy, mean
    promise = f"with probability {1 - delta:g} the mean F1 lost against the last exit is at most {epsilon:g}"
    note = f"on {table.role}: {promise}; {reached:.4f} seen on {len(loss)} images"
    if kept.criterion is None:
        note = f"on {table.role}: no policy is shown to keep the promise that {promise}"
    return Choice(f"risk{100 * epsilon:g}", kept, chosen_on=table.role, note=note)
