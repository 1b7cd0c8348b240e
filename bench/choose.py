"""The policies of one deployed multi-exit detector, chosen on val: what it costs, the gate it learns on train, and one
policy for every tolerance, budget and promise that the run asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.data.split import Dataset
from bench.measure.price import prices as measure_prices
from bench.progress import console
from bench.routing import budget
from bench.routing.criteria import CRITERIA, LEARNED, NAMES
from bench.routing.learned import LearnedGate, learn, with_gate
from bench.routing.prices import Prices
from bench.routing.risk import controlled, sequence
from bench.routing.search import Choice, search
from bench.routing.table import ExitTable, evaluate, exit_table
from bench.runtimes import Deployed
from bench.spec import Measure

PRICED_IMAGES = 50


@dataclass(frozen=True, eq=False)
class Chosen:
    """choices: gates, chosen on the val table. gate: the learned criterion, which every table of this detector takes a
    score of."""

    choices: list[Choice]
    prices: Prices
    gate: LearnedGate
    val: ExitTable


def choose(deployed: Deployed, data: Dataset, flops: Sequence[int], measure: Measure, seed: int) -> Chosen:
    """Tables on train and val, the learned gate, prices measured on train, and the policies. flops: of the path to each
    exit."""
    train = exit_table(deployed, data.train, measure.gate_images)
    lessons = evaluate(train, data.train.coco())
    gate = learn(train, lessons)
    train, val = with_gate(train, gate), with_gate(exit_table(deployed, data.val), gate)
    images = [data.train.image(index) for index in range(min(PRICED_IMAGES, len(data.train)))]
    looked_at = CRITERIA | {LEARNED: gate}
    prices = measure_prices(deployed, images, flops, looked_at, warmup=measure.warmup, seed=seed)
    criteria, unit = deployed.candidate.criteria or NAMES, measure.cost
    matches = evaluate(val, data.val.coco())
    tried = search(val, matches, prices, criteria, gate)
    choices = [tried.cheapest(tolerance, unit) for tolerance in measure.tolerances]
    for text in measure.budgets:
        if found := tried.within(budget.parse(text)):
            choices.append(found)
        else:
            console.print(f"  no policy is within {text}: there is no such row", markup=False)
    order = sequence(train, lessons, prices, criteria, unit, gate)
    for epsilon in measure.risks:
        promised = controlled(order, val, matches, epsilon, measure.delta)
        if promised.policy.criterion:
            choices.append(promised)
        else:
            console.print(f"  {promised.note}: there is no such row", markup=False)
    return Chosen(list({one.name: one for one in choices}.values()), prices, gate, val)
