"""A policy with a promise about the loss that it causes.

With probability 1 - delta over the draw of the val images, the mean loss against the last exit is at most epsilon on
images like these, whatever their distribution. Learn then Test (Angelopoulos et al. 2021): each policy is a hypothesis
to reject, in an order fixed on train, before val is used, until one stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from bench.accuracy.matching import Matches
from bench.accuracy.per_image import f1
from bench.exits.criteria import Criterion
from bench.exits.path_costs import PathCosts, Unit
from bench.exits.policy import Policy, static
from bench.measure.exit_table import ExitTable
from bench.routing.search import ChosenPolicy, exit_shares, mean_costs, policies, routings
from models.errors import UserError

STEPS = 40  # policies in the sequence: each is one more chance to stop too early


def losses(matches: Sequence[Matches]) -> NDArray[np.float64]:
    """The loss whose mean is the risk: how far an exit's F1 is below the last exit's on the same image.

    F1 as in `bench.accuracy.per_image`. The loss is 0 where the exit is no worse; what it does better is not set
    against it.

    Args:
        matches: one entry per exit.

    Returns:
        float64 [N, E] in [0, 1].
    """
    quality = np.stack([f1(one) for one in matches], axis=1)
    return np.maximum(quality[:, -1:] - quality, 0.0)


def p_value(mean: float, images: int, epsilon: float) -> float:
    """Bound on the probability of a mean loss as low as the one measured, when the true one exceeds epsilon.

    Hoeffding's and Bentkus' bounds, the smaller of both (Bates et al., Distribution-Free, Risk-Controlling Prediction
    Sets, 2021).

    Args:
        mean: the measured mean loss, in [0, 1].
        images: how many independent losses it is the mean of.
        epsilon: the most that the true mean loss may be, in (0, 1).

    Returns:
        The p-value, in [0, 1].
    """
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
    """The policies to test, from the dearest to the cheapest, at most STEPS.

    At evenly spaced costs: of those that cost no more, the one with the smallest mean loss on this table.

    Args:
        table: made on train.
        matches: the same detections matched, one entry per exit.
        path_costs: of the detector.
        criteria: names of the criteria.
        unit: "latency" or "flops".
        gate: the one criterion that was learned, if it is among them.

    Returns:
        The policies in the order of the tests.

    Raises:
        UserError: the table was not made on train.
    """
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
) -> ChosenPolicy:
    """The cheapest policy that is shown to keep the promise.

    The last of the candidates before the first whose risk is not shown to be at most epsilon; the last exit for all
    images where already the first candidate fails.

    Args:
        candidates: policies in the order of the tests.
        table: made on val.
        matches: the same detections matched, one entry per exit.
        epsilon: the most that the mean loss may be, in (0, 1).
        delta: error rate of the promise, in (0, 1).

    Returns:
        The policy, with its promise in the note.

    Raises:
        UserError: the table was made on the test split.
    """
    if table.role == "test":
        raise UserError("risk may not be controlled on the test split", where="risk control", fix="use val")
    loss = losses(matches)
    kept, reached = static(table.exits - 1, table.exits), 0.0
    for policy in candidates:
        mean = float(np.mean(loss[np.arange(len(loss)), routings([policy], table)[0]]))
        if p_value(mean, len(loss), epsilon) > delta:
            break
        kept, reached = policy, mean
    promise = f"with probability {1 - delta:g} the mean F1 lost against the last exit is at most {epsilon:g}"
    note = f"on {table.role}: {promise}; {reached:.4f} seen on {len(loss)} images"
    if kept.criterion is None:
        note = f"on {table.role}: no policy is shown to keep the promise that {promise}"
    return ChosenPolicy(f"risk{100 * epsilon:g}", kept, chosen_on=table.role, note=note, promise=True)
