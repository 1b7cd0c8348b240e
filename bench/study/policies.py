"""The policies of one deployed multi-exit detector, chosen on val: what it costs, the gate it learns on train, and one
policy for every tolerance, budget and promise that the run asks for, and of every agent for every tolerance."""

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
from bench.routing.reinforced import REINFORCED, agent
from bench.routing.risk import controlled, sequence
from bench.routing.search import Choice, Tried, attempt, search
from bench.runtimes import Deployed
from bench.spec import Measure

PRICED_IMAGES = 50


@dataclass(frozen=True, eq=False)
class Chosen:
    """choices: gates, chosen on the val table. learned: the criteria with weights, by name: the learned one, and the
    reinforced one where the run asks for it."""

    choices: list[Choice]
    prices: PathCosts
    learned: Mapping[str, LearnedGate]
    val: ExitTable

    def scored(self, table: ExitTable) -> ExitTable:
        """A table of this detector with the scores of what was learned."""
        for name, gate in self.learned.items():
            table = with_gate(table, gate, name)
        return table


def select_policies(deployed: Deployed, data: Dataset, flops: Sequence[int], measure: Measure, seed: int) -> Chosen:
    """Tables on train and val, the learned gate, prices measured on train, and the policies. flops: of the path to each
    exit."""
    train = exit_table(deployed, data.train, measure.gate_images)
    train_matches = evaluate(train, data.train.coco())
    gate = learn(train, train_matches)
    train, val = with_gate(train, gate), with_gate(exit_table(deployed, data.val), gate)
    images = [data.train.image(index) for index in range(min(PRICED_IMAGES, len(data.train)))]
    looked_at = CRITERIA.all() | {LEARNED: gate}
    prices = measure_path_costs(deployed, images, flops, looked_at, warmup=measure.warmup, seed=seed)
    criteria, unit = deployed.candidate.criteria or names(), measure.cost
    matches = evaluate(val, data.val.coco())
    tried = search(val, matches, prices, criteria, gate)
    choices = [tried.cheapest(tolerance, unit) for tolerance in measure.tolerances]
    for text in measure.budgets:
        if found := tried.within(budget.parse(text)):
            choices.append(found)
        else:
            console.print(f"  no policy is within {text}: there is no such row", markup=False)
    order = sequence(train, train_matches, prices, criteria, unit, gate)
    for epsilon in measure.risks:
        promised = controlled(order, val, matches, epsilon, measure.delta)
        if promised.policy.criterion:
            choices.append(promised)
        else:
            console.print(f"  {promised.note}: there is no such row", markup=False)
    learned = {LEARNED: gate}
    if REINFORCED in measure.rl_policies:
        learned[REINFORCED] = agent(train, train_matches, prices, unit)
        val = with_gate(val, learned[REINFORCED], REINFORCED)
        costs = prices.criterion_costs
        prices = replace(prices, criterion_costs={**costs, REINFORCED: costs[LEARNED]})
        choices += for_tolerances(REINFORCED, search(val, matches, prices, [REINFORCED], learned[REINFORCED]), measure)
    if UCB in measure.rl_policies:
        arms = arms_of(order, val.exits)
        settled = {one.policy: one for one in settle(arms, train, train_matches, prices, unit, seed)}
        tried = attempt([*settled, static(val.exits - 1, val.exits)], val, matches, prices)
        for one in for_tolerances(UCB, tried, measure):
            choices.append(replace(one, note=f"{one.note}; {settled[one.policy].note}"))
    return Chosen(list({one.name: one for one in choices}.values()), prices, learned, val)


def for_tolerances(name: str, tried: Tried, measure: Measure) -> list[Choice]:
    """The cheapest of an agent's policies within each tolerance. Where that is a static exit, which has a row of its
    own, there is none."""
    choices = []
    for tolerance in measure.tolerances:
        found = tried.cheapest(tolerance, measure.cost)
        if found.policy.criterion:
            choices.append(replace(found, name=f"{name}-{found.name}"))
        else:
            console.print(f"  {name}-{found.name} is a static exit: there is no such row", markup=False)
    return choices
