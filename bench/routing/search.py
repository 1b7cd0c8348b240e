"""Choosing policies on val: for every criterion a grid of thresholds at quantiles of its scores, all exits jointly, and
for each tolerance the cheapest policy that keeps the mAP. The test split is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from bench.measure.matching import Matches
from bench.measure.pool import pooled
from bench.routing.policy import Policy, static
from bench.routing.table import ExitTable
from models.errors import UserError


@dataclass(frozen=True)
class Choice:
    """A policy with a name, and what it promised on val. chosen_on: None for a static exit, which needs no choice."""

    name: str
    policy: Policy
    chosen_on: str | None = None
    note: str = ""


def static_choices(exits: int) -> list[Choice]:
    """Always the same exit: one choice per exit, the controls that a gate has to beat. One exit: the only choice."""
    if exits == 1:
        return [Choice("full", static(0, 1))]
    names = [f"exit{number}" for number in range(1, exits)] + ["full"]
    return [
        Choice(name, static(exit, exits), note="static exit: a control that looks at no image")
        for exit, name in enumerate(names)
    ]


def grid(scores: np.ndarray, steps: int) -> list[tuple[float, ...]]:
    """Threshold combinations from scores [N, E], none negative but NEVER: per exit `steps` quantiles, halfway between
    neighbouring scores, from 0 (everybody leaves) to infinity (nobody does)."""
    axes = []
    for column in scores[:, :-1].T:
        ordered = np.unique(column)
        cuts = np.concatenate([[0.0], (ordered[1:] + ordered[:-1]) / 2, [np.inf]])
        picked = np.unique(np.round(np.linspace(0, len(cuts) - 1, steps)).astype(int))
        axes.append([float(cuts[index]) for index in picked])
    return list(product(*axes))


def search(
    table: ExitTable,
    matches: Sequence[Matches],
    flops: Sequence[int],
    criteria: Sequence[str],
    tolerances: Sequence[float],
    steps: int = 13,
) -> list[Choice]:
    """One Choice per tolerance: the fewest mean FLOPs among policies whose mAP on the table is at least
    (1 - tolerance) of the last exit's; ties go to the higher mAP. FLOPs rather than time, so that the same seed
    chooses the same policy.

    flops: of the path to each exit. Raises UserError for a table made on the test split.
    """
    if table.role == "test":
        raise UserError(
            "thresholds may not be chosen on the test split",
            where="policy search",
            fix="make the table on val or train",
        )
    if table.exits == 1:
        return []
    policies = [Policy(criterion, cuts) for criterion in criteria for cuts in grid(table.scores[criterion], steps)]
    routings = np.array([policy.route(table.scores[policy.criterion]) for policy in policies], np.int8)
    pool = pooled(tuple(matches))
    full = np.nan_to_num(pool.map(np.full(routings.shape[1], table.exits - 1)))
    maps = np.nan_to_num(pool.map_many(routings))
    leaving = np.stack([(routings == exit).sum(axis=1) for exit in range(table.exits)], axis=1)
    costs = leaving @ np.asarray(flops) / routings.shape[1]
    found = list(zip(costs.tolist(), maps.tolist(), policies, strict=True))
    choices = []
    for tolerance in tolerances:
        cost, reached, policy = min(
            (entry for entry in found if entry[1] >= (1 - tolerance) * full),
            key=lambda entry: (entry[0], -entry[1]),
        )
        note = f"on val: mAP {reached:.3f} against {full:.3f} at the last exit, {cost / 1e6:.0f} M multiply-adds"
        choices.append(Choice(f"tol{100 * tolerance:g}", policy, chosen_on=table.role, note=note))
    return choices
