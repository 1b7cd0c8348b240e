"""Choosing policies on val.

For every criterion, thresholds over a grid of its scores and over their quantiles, all exits jointly. Then the cheapest
policy that keeps the mAP, the best one within a budget, and the frontier of both. The test split is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from bench.accuracy.matching import Matches
from bench.accuracy.pool import pooled
from bench.exits.budget import Budget
from bench.exits.criteria import Criterion
from bench.exits.path_costs import UNITS, PathCosts, Unit
from bench.exits.policy import Policy, static
from bench.exits.registry import CRITERIA
from bench.measure.exit_table import ExitTable
from models.errors import UserError

POLICIES = 700  # tried per criterion
APART = 0.02  # of the dearest corner's cost


@dataclass(frozen=True)
class ChosenPolicy:
    """A named policy chosen on val, and what it promised there.

    Attributes:
        name: such as "tol1" or "exit2".
        policy: what was chosen.
        chosen_on: role of the split it was chosen on; None for a static exit, which needs no choice.
        note: what it promised there, as text.
        promise: whether risk control showed on val that it loses no more than was asked for.
    """

    name: str
    policy: Policy
    chosen_on: str | None = None
    note: str = ""
    promise: bool = False


@dataclass(frozen=True, eq=False)
class Tried:
    """Policies tried on one table, P of them.

    Attributes:
        role: of the table's split.
        policies: the policies, [P].
        maps: mAP of each, float64 [P] in [0, 1].
        costs: mean cost of an image by unit, float64 [P] each, in ms or multiply-adds.
        full: mAP of the last exit.
    """

    role: str
    policies: Sequence[Policy]
    maps: NDArray[np.float64]
    costs: Mapping[Unit, NDArray[np.float64]]
    full: float

    def cheapest(self, tolerance: float, unit: Unit) -> ChosenPolicy:
        """The cheapest policy that keeps the mAP of the last exit; ties go to the higher mAP.

        Args:
            tolerance: share of the last exit's mAP that may be lost, in [0, 1].
            unit: "latency" or "flops".

        Returns:
            The policy.
        """
        kept = np.flatnonzero(self.maps >= (1 - tolerance) * self.full)
        return self._chosen(
            f"tol{100 * tolerance:g}", min(kept.tolist(), key=lambda p: (self.costs[unit][p], -self.maps[p]))
        )

    def within(self, budget: Budget) -> ChosenPolicy | None:
        """The policy with the best mAP within a budget; ties go to the cheaper one.

        Args:
            budget: the most that an image may cost on average.

        Returns:
            The policy; None when none is that cheap.
        """
        cost = self.costs[budget.unit]
        kept = np.flatnonzero(cost <= budget.most)
        if not len(kept):
            return None
        return self._chosen(f"within{budget.text}", min(kept.tolist(), key=lambda p: (-self.maps[p], cost[p])))

    def frontier(self, unit: Unit) -> list[ChosenPolicy]:
        """The policies at the corners of the upper convex hull of (mean cost, mAP).

        Whatever lies below the hull is beaten, on average, by tossing a coin between two of its corners. Of corners
        within APART of each other in cost only the dearest is kept.

        Args:
            unit: "latency" or "flops".

        Returns:
            The policies, cheapest first.
        """
        costs = self.costs[unit]
        kept: list[int] = []
        for corner in reversed(upper_hull(costs, self.maps)):
            if not kept or costs[corner] < costs[kept[-1]] - APART * costs[kept[0]]:
                kept.append(corner)
        return [self._chosen(f"front{number}", p) for number, p in enumerate(reversed(kept), 1)]

    def _chosen(self, name: str, p: int) -> ChosenPolicy:
        note = f"on {self.role}: mAP {self.maps[p]:.3f} against {self.full:.3f} at the last exit, "
        note += f"{self.costs['flops'][p] / 1e6:.0f} M multiply-adds, {self.costs['latency'][p]:.2f} ms predicted"
        return ChosenPolicy(name, self.policies[p], chosen_on=self.role, note=note)


def static_policies(exits: int) -> list[ChosenPolicy]:
    """One policy per exit that always takes it: the controls that a gate has to beat.

    Args:
        exits: how many exits there are; with one, its policy is called "full".

    Returns:
        The policies, by exit.
    """
    if exits == 1:
        return [ChosenPolicy("full", static(0, 1))]
    names = [f"exit{number}" for number in range(1, exits)] + ["full"]
    return [
        ChosenPolicy(name, static(exit, exits), note="static exit: a control that looks at no image")
        for exit, name in enumerate(names)
    ]


def grid(scores: NDArray[np.float64], count: int = POLICIES) -> list[tuple[float, ...]]:
    """About `count` combinations of thresholds, all exits jointly.

    Per exit from 0 (every image leaves) to infinity (none does), between them half quantiles, half evenly spaced; all
    halfway between neighbouring scores, so that rounding moves no image. Where even three steps per exit are too many
    combinations, `count` of them at seven steps, drawn at random, always the same.

    Args:
        scores: criterion scores, float64 [N, E], none negative but NEVER.
        count: about how many combinations.

    Returns:
        Thresholds, E - 1 each.
    """
    inner = scores.shape[1] - 1
    too_many = 3**inner > count
    steps = 7 if too_many else max(3, round(count ** (1 / inner)))
    even = (steps - 2) // 2
    axes = []
    for column in scores[:, :-1].T:
        ordered = np.unique(column[column >= 0])  # without NEVER
        cuts = np.concatenate([[0.0], (ordered[1:] + ordered[:-1]) / 2, [np.inf]])
        ranks = np.round(np.linspace(0, len(cuts) - 1, steps - even)).astype(int)
        first, last = (ordered[0], ordered[-1]) if len(ordered) else (0.0, 0.0)
        near = np.searchsorted(cuts, np.linspace(first, last, even + 2)[1:-1])
        axes.append([float(cuts[index]) for index in np.unique(np.concatenate([ranks, near]))])
    if too_many:
        rng = np.random.default_rng(0)
        return sorted({tuple(float(rng.choice(axis)) for axis in axes) for _ in range(count)})
    return list(product(*axes))


def policies(
    table: ExitTable, criteria: Sequence[str], gate: Criterion | None = None, count: int = POLICIES
) -> list[Policy]:
    """About `count` policies of each criterion, their thresholds from a table's scores.

    Args:
        table: with the criterion scores.
        criteria: names of the criteria.
        gate: the one criterion that was learned, if it is among them.
        count: about how many policies for each.

    Returns:
        The policies.
    """
    return [
        Policy(name, cuts, None if name in CRITERIA else gate)
        for name in criteria
        for cuts in grid(table.scores[name], count)
    ]


def routings(tried: Sequence[Policy], table: ExitTable) -> NDArray[np.int8]:
    """Which exit answers each image under each policy.

    Args:
        tried: P policies.
        table: with the criterion scores of N images.

    Returns:
        Exits from 0, int8 [P, N].
    """
    return np.array([table.route(policy) for policy in tried], np.int8)


def exit_shares(exits: NDArray[np.integer], count: int) -> NDArray[np.float64]:
    """The share of the images that each exit answers, for each routing.

    Args:
        exits: routings, int [P, N].
        count: how many exits there are.

    Returns:
        float64 [P, count] in [0, 1].
    """
    return np.stack([(exits == exit).mean(axis=1) for exit in range(count)], axis=1)


def mean_costs(
    tried: Sequence[Policy], shares: NDArray[np.float64], path_costs: PathCosts, unit: Unit
) -> NDArray[np.float64]:
    """Mean cost of an image under each policy.

    Args:
        tried: P policies.
        shares: their exit shares, float64 [P, E].
        path_costs: of the detector.
        unit: "latency" or "flops".

    Returns:
        ms or multiply-adds, float64 [P].
    """
    return np.array([path_costs.mean(policy, share, unit) for policy, share in zip(tried, shares, strict=True)])


def search(
    table: ExitTable,
    matches: Sequence[Matches],
    path_costs: PathCosts,
    criteria: Sequence[str],
    gate: Criterion | None = None,
    count: int = POLICIES,
) -> Tried:
    """Try about `count` policies of each criterion on a table.

    Args:
        table: made on train or val.
        matches: the same detections matched, one entry per exit.
        path_costs: of the detector.
        criteria: names of the criteria.
        gate: the one criterion that was learned, if it is among them.
        count: about how many policies for each.

    Returns:
        What was tried.

    Raises:
        UserError: the table was made on the test split.
    """
    return attempt(policies(table, criteria, gate, count), table, matches, path_costs)


def attempt(tried: Sequence[Policy], table: ExitTable, matches: Sequence[Matches], path_costs: PathCosts) -> Tried:
    """Try given policies on a table.

    Args:
        tried: the policies.
        table: made on train or val.
        matches: the same detections matched, one entry per exit.
        path_costs: of the detector.

    Returns:
        What was tried.

    Raises:
        UserError: the table was made on the test split.
    """
    if table.role == "test":
        raise UserError(
            "thresholds may not be chosen on the test split",
            where="policy search",
            fix="make the table on val or train",
        )
    exits = routings(tried, table)
    pool = pooled(tuple(matches))
    full = np.nan_to_num(pool.map(np.full(exits.shape[1], table.exits - 1)))
    shares = exit_shares(exits, table.exits)
    costs = {unit: mean_costs(tried, shares, path_costs, unit) for unit in UNITS}
    return Tried(table.role, tried, np.nan_to_num(pool.map_many(exits)), costs, float(full))


def upper_hull(costs: NDArray[np.float64], maps: NDArray[np.float64]) -> list[int]:
    """The corners of the upper convex hull of (cost, mAP) that rise with cost (Andrew's monotone chain, 1979).

    Args:
        costs: [P].
        maps: [P].

    Returns:
        Indices, cheapest first.
    """
    hull: list[int] = []
    for p in np.lexsort((-maps, costs)).tolist():
        if hull and maps[p] <= maps[hull[-1]]:
            continue
        while len(hull) > 1 and _above(costs, maps, hull[-2], hull[-1], p):
            hull.pop()
        hull.append(p)
    return hull


def _above(costs: NDArray[np.float64], maps: NDArray[np.float64], a: int, b: int, c: int) -> bool:
    """Whether b lies on or below the line from a to c."""
    return bool((maps[b] - maps[a]) * (costs[c] - costs[a]) <= (maps[c] - maps[a]) * (costs[b] - costs[a]))
