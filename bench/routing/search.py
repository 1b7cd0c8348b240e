"""Choosing policies on val: for every criterion thresholds over a grid of its scores and over their quantiles, all
exits jointly; then the cheapest policy that keeps the mAP, the best one within a budget, and the frontier of both. The
test split is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from bench.accuracy.matching import Matches
from bench.accuracy.pool import pooled
from bench.exits.budget import Budget
from bench.exits.criteria import Criterion
from bench.exits.path_costs import UNITS, Prices, Unit
from bench.exits.policy import Policy, static
from bench.exits.registry import CRITERIA
from bench.measure.exit_table import ExitTable
from models.errors import UserError

POLICIES = 700  # tried per criterion
APART = 0.02  # of the dearest corner's cost


@dataclass(frozen=True)
class Choice:
    """A policy with a name, and what it promised on val. chosen_on: None for a static exit, which needs no choice."""

    name: str
    policy: Policy
    chosen_on: str | None = None
    note: str = ""


@dataclass(frozen=True, eq=False)
class Tried:
    """Policies tried on one table, P of them. maps [P]. costs: mean per image by unit, [P] each. full: mAP of the last
    exit. role: the table's."""

    role: str
    policies: Sequence[Policy]
    maps: np.ndarray
    costs: Mapping[Unit, np.ndarray]
    full: float

    def cheapest(self, tolerance: float, unit: Unit) -> Choice:
        """The cheapest policy whose mAP is at least (1 - tolerance) of the last exit's; ties go to the higher mAP."""
        kept = np.flatnonzero(self.maps >= (1 - tolerance) * self.full)
        return self._choice(f"tol{100 * tolerance:g}", min(kept, key=lambda p: (self.costs[unit][p], -self.maps[p])))

    def within(self, budget: Budget) -> Choice | None:
        """The policy with the best mAP among those that cost at most the budget on average, ties going to the cheaper
        one; None when no policy is that cheap."""
        cost = self.costs[budget.unit]
        kept = np.flatnonzero(cost <= budget.most)
        if not len(kept):
            return None
        return self._choice(f"within{budget.text}", min(kept, key=lambda p: (-self.maps[p], cost[p])))

    def frontier(self, unit: Unit) -> list[Choice]:
        """The policies at the corners of the upper convex hull of (mean cost, mAP), cheapest first: whatever lies below
        it is beaten, on average, by tossing a coin between two of them. Of corners within APART of each other in cost
        only the dearest is kept."""
        costs = self.costs[unit]
        kept: list[int] = []
        for corner in reversed(upper_hull(costs, self.maps)):
            if not kept or costs[corner] < costs[kept[-1]] - APART * costs[kept[0]]:
                kept.append(corner)
        return [self._choice(f"front{number}", p) for number, p in enumerate(reversed(kept), 1)]

    def _choice(self, name: str, p: int) -> Choice:
        note = f"on {self.role}: mAP {self.maps[p]:.3f} against {self.full:.3f} at the last exit, "
        note += f"{self.costs['flops'][p] / 1e6:.0f} M multiply-adds, {self.costs['latency'][p]:.2f} ms predicted"
        return Choice(name, self.policies[p], chosen_on=self.role, note=note)


def static_choices(exits: int) -> list[Choice]:
    """Always the same exit: one choice per exit, the controls that a gate has to beat. One exit: the only choice."""
    if exits == 1:
        return [Choice("full", static(0, 1))]
    names = [f"exit{number}" for number in range(1, exits)] + ["full"]
    return [
        Choice(name, static(exit, exits), note="static exit: a control that looks at no image")
        for exit, name in enumerate(names)
    ]


def grid(scores: np.ndarray, count: int = POLICIES) -> list[tuple[float, ...]]:
    """About `count` threshold combinations, all exits jointly, from scores [N, E], none negative but NEVER. Per exit
    from 0 (everybody leaves) to infinity (nobody does), between them half quantiles, half evenly spaced; all halfway
    between neighbouring scores, so that rounding moves nobody. Where even three steps per exit are too many
    combinations, `count` of them at seven steps, drawn at random, always the same."""
    inner = scores.shape[1] - 1
    too_many = 3**inner > count
    steps = 7 if too_many else max(3, round(count ** (1 / inner)))
    even = (steps - 2) // 2
    axes = []
    for column in scores[:, :-1].T:
        ordered = np.unique(column[column >= 0])  # without NEVER
        cuts = np.concatenate([[0.0], (ordered[1:] + ordered[:-1]) / 2, [np.inf]])
        ranks = np.round(np.linspace(0, len(cuts) - 1, steps - even)).astype(int)
        near = np.searchsorted(cuts, np.linspace(*(ordered[[0, -1]] if len(ordered) else (0, 0)), even + 2)[1:-1])
        axes.append([float(cuts[index]) for index in np.unique(np.concatenate([ranks, near]))])
    if too_many:
        rng = np.random.default_rng(0)
        return sorted({tuple(float(rng.choice(axis)) for axis in axes) for _ in range(count)})
    return list(product(*axes))


def policies(
    table: ExitTable, criteria: Sequence[str], gate: Criterion | None = None, count: int = POLICIES
) -> list[Policy]:
    """About `count` policies of each criterion, their thresholds from the table's scores. gate: the one criterion
    that was learned, if it is among them."""
    return [
        Policy(name, cuts, None if name in CRITERIA else gate)
        for name in criteria
        for cuts in grid(table.scores[name], count)
    ]


def routings(tried: Sequence[Policy], table: ExitTable) -> np.ndarray:
    """Which exit answers each image under each policy: int8 [P, N]."""
    unread = np.zeros((len(table.image_ids), table.exits))  # by a static policy
    return np.array([policy.route(table.scores.get(policy.criterion, unread)) for policy in tried], np.int8)


def exit_shares(exits: np.ndarray, count: int) -> np.ndarray:
    """Of each routing [P, N], the share of the images that each of `count` exits answers: float64 [P, count]."""
    return np.stack([(exits == exit).mean(axis=1) for exit in range(count)], axis=1)


def mean_costs(tried: Sequence[Policy], shares: np.ndarray, prices: Prices, unit: Unit) -> np.ndarray:
    """Mean cost of an image under each policy, float64 [P], given its exit shares [P, E]."""
    return np.array([prices.mean(policy, share, unit) for policy, share in zip(tried, shares, strict=True)])


def search(
    table: ExitTable,
    matches: Sequence[Matches],
    prices: Prices,
    criteria: Sequence[str],
    gate: Criterion | None = None,
    count: int = POLICIES,
) -> Tried:
    """Try about `count` policies of each criterion on a table. Raises UserError for one made on the test split."""
    return attempt(policies(table, criteria, gate, count), table, matches, prices)


def attempt(tried: Sequence[Policy], table: ExitTable, matches: Sequence[Matches], prices: Prices) -> Tried:
    """Try these policies on a table. Raises UserError for one made on the test split."""
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
    costs = {unit: mean_costs(tried, shares, prices, unit) for unit in UNITS}
    return Tried(table.role, tried, np.nan_to_num(pool.map_many(exits)), costs, float(full))


def upper_hull(costs: np.ndarray, maps: np.ndarray) -> list[int]:
    """Indices of the corners of the upper convex hull of (cost, mAP) that rise with cost, cheapest first (Andrew's
    monotone chain, 1979)."""
    hull: list[int] = []
    for p in np.lexsort((-maps, costs)).tolist():
        if hull and maps[p] <= maps[hull[-1]]:
            continue
        while len(hull) > 1 and _above(costs, maps, hull[-2], hull[-1], p):
            hull.pop()
        hull.append(p)
    return hull


def _above(costs: np.ndarray, maps: np.ndarray, a: int, b: int, c: int) -> bool:
    """Whether b lies on or below the line from a to c."""
    return (maps[b] - maps[a]) * (costs[c] - costs[a]) <= (maps[c] - maps[a]) * (costs[b] - costs[a])
