"""The policies of one deployed multi-exit detector, chosen on val.

What its paths cost, the gate it learns on train, and one policy for every tolerance, budget and promise that the run
asks for, and of every RL policy for every tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.data.split import Dataset
from bench.exits import budget
from bench.exits.learned import LearnedGate
from bench.exits.path_costs import PathCosts
from bench.exits.policy import static
from bench.exits.registry import CRITERIA, LEARNED, names
from bench.measure.exit_table import ExitTable, evaluate, exit_table
from bench.measure.path_costs import measure_path_costs
from bench.progress import console
from bench.routing.bandit import UCB, arms_of, settle
from bench.routing.learned import learn, with_gate
from bench.routing.reinforced import REINFORCED, rl_policy
from bench.routing.risk import controlled, sequence
from bench.routing.search import ChosenPolicy, Tried, attempt, search
from bench.runtimes import Deployed
from bench.spec import Measure

TIMED_IMAGES = 50  # training images that path costs are measured on


@dataclass(frozen=True, eq=False)
class SelectedPolicies:
    """The gates of one detector, and what they were chosen by.

    Attributes:
        policies: gates, chosen on the val table.
        path_costs: of the detector, measured on train.
        learned: the criteria with weights, by name: the learned one, and the reinforced one where the run asks for it.
        val: the table that they were chosen on, with the scores of what was learned.
    """

    policies: list[ChosenPolicy]
    path_costs: PathCosts
    learned: Mapping[str, LearnedGate]
    val: ExitTable

    def scored(self, table: ExitTable) -> ExitTable:
        """Add the scores of what was learned to a table.

        Args:
            table: of this detector, with features.

        Returns:
            The table with the scores.
        """
        for name, gate in self.learned.items():
            table = with_gate(table, gate, name)
        return table


def select_policies(
    deployed: Deployed, data: Dataset, flops: Sequence[int], measure: Measure, seed: int
) -> SelectedPolicies:
    """Choose a detector's policies on val: tables, the learned gate, path costs, then a search.

    Args:
        deployed: a multi-exit detector on its runtime.
        data: train, where costs are measured and gates trained, and val. Test is not looked at.
        flops: multiply-adds of the path to each exit, [E].
        measure: what to choose policies for.
        seed: of everything drawn.

    Returns:
        The policies, and what they were chosen by.
    """
    train = exit_table(deployed, data.train, measure.gate_images)
    train_matches = evaluate(train, data.train.coco())
    gate = learn(train, train_matches)
    train, val = with_gate(train, gate), with_gate(exit_table(deployed, data.val), gate)
    images = [data.train.image(index) for index in range(min(TIMED_IMAGES, len(data.train)))]
    timed = CRITERIA.all() | {LEARNED: gate}
    path_costs = measure_path_costs(deployed, images, flops, timed, warmup=measure.warmup, seed=seed)
    criteria, unit = deployed.candidate.criteria or names(), measure.cost
    matches = evaluate(val, data.val.coco())
    tried = search(val, matches, path_costs, criteria, gate)
    policies = [tried.cheapest(tolerance, unit) for tolerance in measure.tolerances]
    for text in measure.budgets:
        if found := tried.within(budget.parse(text)):
            policies.append(found)
        else:
            console.print(f"  no policy is within {text}: there is no such row", markup=False)
    order = sequence(train, train_matches, path_costs, criteria, unit, gate)
    for epsilon in measure.risks:
        promised = controlled(order, val, matches, epsilon, measure.delta)
        if promised.policy.criterion:
            policies.append(promised)
        else:
            console.print(f"  {promised.note}: there is no such row", markup=False)
    learned = {LEARNED: gate}
    if REINFORCED in measure.rl_policies:
        learned[REINFORCED] = rl_policy(train, train_matches, path_costs, unit)
        val = with_gate(val, learned[REINFORCED], REINFORCED)
        costs = path_costs.criterion_costs
        path_costs = replace(path_costs, criterion_costs={**costs, REINFORCED: costs[LEARNED]})
        tried = search(val, matches, path_costs, [REINFORCED], learned[REINFORCED])
        policies += for_tolerances(REINFORCED, tried, measure)
    if UCB in measure.rl_policies:
        arms = arms_of(order, val.exits)
        settled = {one.policy: one for one in settle(arms, train, train_matches, path_costs, unit, seed)}
        tried = attempt([*settled, static(val.exits - 1, val.exits)], val, matches, path_costs)
        for one in for_tolerances(UCB, tried, measure):
            policies.append(replace(one, note=f"{one.note}; {settled[one.policy].note}"))
    return SelectedPolicies(list({one.name: one for one in policies}.values()), path_costs, learned, val)


def for_tolerances(name: str, tried: Tried, measure: Measure) -> list[ChosenPolicy]:
    """Choose the cheapest of an RL policy's settings within each tolerance.

    Where that is a static exit, which has a row of its own, there is none.

    Args:
        name: of the RL policy, which the names begin with.
        tried: its settings, tried on val.
        measure: the tolerances, and what is to be cheap.

    Returns:
        At most one policy for each tolerance.
    """
    policies = []
    for tolerance in measure.tolerances:
        found = tried.cheapest(tolerance, measure.cost)
        if found.policy.criterion:
            policies.append(replace(found, name=f"{name}-{found.name}"))
        else:
            console.print(f"  {name}-{found.name} is a static exit: there is no such row", markup=False)
    return policies
