"""Everything about routing that a run's stored exit tables can answer without the model: policies chosen on val for any
criterion, budget or tolerance, what they reach on test, and what stands beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bench.accuracy.coco import Accuracy, bootstrap_map, pooled_accuracy
from bench.exits.budget import Budget, parse
from bench.exits.path_costs import UNITS, PathCosts, Unit
from bench.exits.stored import routing
from bench.measure.store import load_prices, stored_detectors
from bench.progress import bar
from bench.records import Auroc, Drawn, ExitProfile, Record, detector_id
from bench.routing.alarms import detector_alarms, policy_alarms
from bench.routing.auroc import aurocs
from bench.routing.controls import gate_efficiency, random_exits
from bench.routing.exit_profile import exit_profile
from bench.routing.oracle import oracle
from bench.routing.risk import losses
from bench.routing.search import Choice, Tried, search, static_choices, upper_hull
from bench.stats import corrected_interval
from bench.study.stored import MatchedTable, Run, belong_together, matched_table, open_run
from models.errors import UserError, unknown

Kind = Literal["static", "frontier", "tolerance", "budget"]


@dataclass(frozen=True)
class Ask:
    """What to choose policies for. unit: what they are cheap in. tolerances: relative mAP they may lose on val.
    criteria: those to try; None: all stored."""

    unit: Unit
    tolerances: tuple[float, ...]
    budgets: tuple[Budget, ...]
    criteria: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Point:
    """One policy, chosen on val, and what it reaches on test.

    thresholds: one per exit but the last, None is never; None for a static exit. ms, flops: mean cost of a test
    image, predicted from the prices; unlooked_ms: without the looks, which neither chance nor the oracle pay.
    share: of the test images that each exit answers. map to large: COCO AP in [0, 1], low and high the 95 %
    bootstrap interval of the mAP; small to large None where there is no such box. val_map: what it was chosen for.
    Of a gate also: random, the same shares dealt out at random; oracle, the mAP that its cost buys whoever knows
    the boxes; efficiency, how far the gate gets from the one to the other. alarms: of a policy that was asked for.
    """

    name: str
    kind: Kind
    criterion: str | None
    thresholds: tuple[float | None, ...] | None
    ms: float
    unlooked_ms: float
    flops: float
    share: tuple[float, ...]
    map: float
    low: float
    high: float
    map50: float
    small: float | None
    medium: float | None
    large: float | None
    val_map: float
    random: Drawn | None = None
    oracle: float | None = None
    efficiency: float | None = None
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Promise:
    """A policy that the run chose with risk control, from its record: map and ms as measured there. lost: mean F1 that
    it loses on the test images against the last exit."""

    name: str
    criterion: str
    share: tuple[float, ...]
    map: float
    low: float
    high: float
    ms: float
    lost: float
    note: str


@dataclass(frozen=True)
class Sweep:
    """One stored detector. ms, flops: of an image that exit k answers without a look at it, [E]. limit: times as fast
    as the last exit, which no policy can pass. curves: criterion -> (mean cost, mAP) on test of the policies on its own
    frontier on val. out_of_reach: budgets that no policy keeps, and why. example: the point of the
    exit profile. unkept: promises that no policy was shown to keep."""

    detector: str
    unit: Unit
    val_images: int
    test_images: int
    test_hash: str
    ms: tuple[float, ...]
    flops: tuple[int, ...]
    limit: float
    points: tuple[Point, ...]
    curves: dict[str, tuple[tuple[float, float], ...]]
    out_of_reach: tuple[str, ...]
    criteria: tuple[Auroc, ...]
    example: str
    exit_profile: tuple[ExitProfile, ...]
    alarms: tuple[str, ...]
    promises: tuple[Promise, ...]
    unkept: tuple[str, ...]


def sweeps(
    run_dir: Path,
    *,
    cost: str | None = None,
    budgets: Sequence[str] = (),
    tolerances: Sequence[float] = (),
    criteria: Sequence[str] | None = None,
    detector: str | None = None,
) -> list[Sweep]:
    """Every stored detector of a run, or one of them. What is left out is what the run itself asked for. Raises
    UserError for a run without exit tables, for files that are broken or do not belong together, and for a name, budget
    or tolerance that is none."""
    wanted = [parse(text) for text in budgets]
    run = open_run(run_dir)
    if cost not in (None, *UNITS):
        raise unknown("cost", str(cost), UNITS, where="--cost")
    for tolerance in tolerances:
        if not 0 <= tolerance <= 1:
            raise UserError(f"{tolerance:g} is no tolerance", where="--tolerance", fix="give a share such as 0.02")
    ask = Ask(
        cost or run.measure.cost,
        tuple(tolerances) or run.measure.tolerances,
        tuple(wanted) or tuple(map(parse, run.measure.budgets)),
        tuple(criteria) if criteria else None,
    )
    folders = {folder.name: folder for folder in stored_detectors(run_dir)}
    if detector and detector not in folders:
        raise unknown("detector", detector, folders, where="--detector")
    return [sweep(run, folder, ask) for name, folder in folders.items() if detector in (None, name)]


def sweep(run: Run, folder: Path, ask: Ask) -> Sweep:
    """Search on val, then look at test. Raises UserError as `sweeps` does."""
    prices, val, test = load_prices(folder), matched_table(run, folder, "val"), matched_table(run, folder, "test")
    belong_together(val.table, test.table, prices, folder)
    for name in ask.criteria or ():
        if name not in val.table.scores:
            raise unknown("criterion", name, val.table.scores, where="--criteria")
    criteria = ask.criteria or tuple(val.table.scores)
    tried = search(val.table, val.matches, prices, criteria)
    choices, out_of_reach = chosen(tried, ask, prices)
    exits = [test.route(choice.policy) for _, choice in choices]
    points = measured(choices, exits, val, test, prices, ask.unit, run, folder.name)
    asked = [p for p in points if p.kind in ("tolerance", "budget")] or [p for p in points if p.kind == "frontier"]
    example = min(asked, key=lambda p: max(p.share))  # the one that tells the most images apart
    routed = exits[points.index(example)]
    own = [r for r in run.records if detector_id(r, r.runtime) == folder.name]
    temperatures = [one.temperature or 1.0 for one in own[0].per_exit] if own else []
    promises = [promise(record, test) for record in own if record.operating_point.promise]
    made = {one.name for one in promises}
    return Sweep(
        detector=folder.name,
        unit=ask.unit,
        val_images=len(val.table.image_ids),
        test_images=len(test.table.image_ids),
        test_hash=test.table.split_hash,
        ms=prices.ms,
        flops=prices.flops,
        limit=prices.ms[-1] / prices.ms[0],
        points=tuple(points),
        curves={name: curve(name, tried, test, prices, ask.unit) for name in criteria},
        out_of_reach=tuple(out_of_reach),
        criteria=tuple(
            one
            for one in aurocs(test.table, test.matches, run.measure.resamples, run.seed)
            if one.criterion in criteria
        ),
        example=example.name,
        exit_profile=tuple(exit_profile(run.truths["test"], test.table.image_ids, routed, test.table.exits)),
        alarms=detector_alarms(test.matches, test.table.health, temperatures, run.seed),
        promises=tuple(promises),
        unkept=tuple(name for name in (f"risk{100 * risk:g}" for risk in run.measure.risks) if name not in made),
    )


def chosen(tried: Tried, ask: Ask, prices: PathCosts) -> tuple[list[tuple[Kind, Choice]], list[str]]:
    """The policies to look at on test, and of every budget that no gate keeps a sentence."""
    choices: list[tuple[Kind, Choice]] = [("static", one) for one in static_choices(len(prices.ms))]
    choices += [("frontier", one) for one in tried.frontier(ask.unit)]
    choices += [("tolerance", tried.cheapest(tolerance, ask.unit)) for tolerance in ask.tolerances]
    out_of_reach = []
    for budget in ask.budgets:
        if found := tried.within(budget):
            choices.append(("budget", found))
        else:
            first = amount(prices.ms[0] if budget.unit == "latency" else prices.flops[0], budget.unit)
            least = amount(float(tried.costs[budget.unit].min()), budget.unit)
            out_of_reach.append(
                f"no gate is within {budget.text}: the cheapest takes {least} on val, exit 1 by itself {first}"
            )
    return choices, out_of_reach


def amount(cost: float, unit: Unit) -> str:
    """A mean cost as people write it, e.g. '2.31 ms' or '198 MFLOPs'."""
    return f"{cost:.2f} ms" if unit == "latency" else f"{cost / 1e6:.0f} MFLOPs"


def measured(
    choices: Sequence[tuple[Kind, Choice]],
    exits: Sequence[np.ndarray],
    val: MatchedTable,
    test: MatchedTable,
    prices: PathCosts,
    unit: Unit,
    run: Run,
    label: str,
) -> list[Point]:
    """Every policy on test, the gates with what they are to be judged by: neither chance nor the oracle pays for
    looking. exits: where each sends the test images, int [N]; what sends them the same way is measured once."""
    different = {taken.tobytes(): taken for taken in exits}
    gates = {
        taken.tobytes(): taken for (_, choice), taken in zip(choices, exits, strict=True) if choice.policy.criterion
    }
    costs = prices.flops if unit == "flops" else [round(1e6 * ms) for ms in prices.ms]
    with bar(f"sweep {label}", len(different) + 2 * len(gates)) as advance:
        reached = {}
        for key, taken in different.items():
            drawn = bootstrap_map(test.matches, taken, run.measure.resamples, run.seed)
            full = pooled_accuracy(test.matches, taken)
            found = full.map or 0.0
            reached[key] = full, corrected_interval(np.where(np.isnan(drawn), found, drawn), found)
            advance()
        controls = {}
        best = dict(zip(gates, oracle(test.matches, costs, list(gates.values()), run.seed), strict=True))
        advance(len(gates))
        for key, taken in gates.items():
            controls[key] = random_exits(test.matches, taken, run.seed), test.map(best[key])
            advance()
    points = []
    for (kind, choice), taken in zip(choices, exits, strict=True):
        key = taken.tobytes()
        gate = controls[key] if choice.policy.criterion else None
        points.append(point(kind, choice, taken, *reached[key], gate, val.map(val.route(choice.policy)), prices))
    return points


def point(
    kind: Kind,
    choice: Choice,
    exits: np.ndarray,
    reached: Accuracy,
    bounds: tuple[float, float],
    controls: tuple[Drawn, float] | None,
    val_map: float,
    prices: PathCosts,
) -> Point:
    """What is known of one policy. exits: int [N], where it sends the test images; controls: of a gate, what chance and
    the oracle reach."""
    policy, count = choice.policy, len(prices.ms)
    share = np.bincount(exits, minlength=count) / len(exits)
    thresholds = tuple(None if threshold == math.inf else float(threshold) for threshold in policy.thresholds)
    drawn, ceiling = controls or (None, None)
    return Point(
        name=choice.name,
        kind=kind,
        criterion=policy.criterion,
        thresholds=thresholds if policy.criterion else None,
        ms=prices.mean(policy, share, "latency"),
        unlooked_ms=float(share @ prices.mixed_traffic_ms(share)),
        flops=prices.mean(policy, share, "flops"),
        share=tuple(share.tolist()),
        map=reached.map or 0.0,
        low=bounds[0],
        high=bounds[1],
        map50=reached.map50 or 0.0,
        small=reached.ap_small,
        medium=reached.ap_medium,
        large=reached.ap_large,
        val_map=val_map,
        random=drawn,
        oracle=ceiling,
        efficiency=gate_efficiency(reached.map or 0.0, drawn, ceiling) if controls else None,
        alarms=policy_alarms(exits, count) if kind in ("tolerance", "budget") else (),
    )


def curve(
    name: str, tried: Tried, test: MatchedTable, prices: PathCosts, unit: Unit
) -> tuple[tuple[float, float], ...]:
    """(mean cost, mAP) on test of the policies at the corners of one criterion's frontier on val, cheapest first."""
    own = [p for p, policy in enumerate(tried.policies) if policy.criterion == name]
    corners = [tried.policies[own[c]] for c in upper_hull(tried.costs[unit][own], tried.maps[own])]
    found = []
    for policy in corners:
        exits = test.route(policy)
        share = np.bincount(exits, minlength=test.table.exits) / len(exits)
        found.append((prices.mean(policy, share, unit), test.map(exits)))
    return tuple(found)


def promise(record: Record, test: MatchedTable) -> Promise:
    """A risk-controlled policy as the run recorded it, and what it loses on the test table."""
    made, exits = record.operating_point, test.route(routing(record))
    lost = losses(test.matches)[np.arange(len(exits)), exits].mean()
    return Promise(
        name=made.name,
        criterion=made.criterion,
        share=record.exit_share,
        map=record.map,
        low=record.map_interval[0],
        high=record.map_interval[1],
        ms=record.latency_ms.mean,
        lost=float(lost),
        note=made.note,
    )
