"""Everything about routing that a run's stored exit tables can answer without the model.

Policies chosen on val for any criterion, budget or tolerance, what they reach on test, and what stands beside them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.accuracy.coco import Accuracy, bootstrap_map, pooled_accuracy
from bench.exits.budget import Budget, parse
from bench.exits.path_costs import UNITS, PathCosts, Unit
from bench.exits.stored import routing
from bench.measure.store import load_path_costs, stored_detectors
from bench.progress import bar
from bench.records import Auroc, Drawn, ExitProfile, Record, detector_id
from bench.routing.alarms import detector_alarms, policy_alarms
from bench.routing.auroc import aurocs
from bench.routing.controls import gate_efficiency, random_exits
from bench.routing.exit_profile import exit_profile
from bench.routing.oracle import oracle
from bench.routing.risk import losses
from bench.routing.search import ChosenPolicy, Tried, search, static_policies, upper_hull
from bench.stats import corrected_interval
from bench.study.stored import MatchedTable, Run, belong_together, matched_table, open_run
from models.errors import UserError, unknown

Kind = Literal["static", "frontier", "tolerance", "budget"]


@dataclass(frozen=True)
class Ask:
    """What to choose policies for.

    Attributes:
        unit: what they are cheap in, "latency" or "flops".
        tolerances: shares of the last exit's mAP that they may lose on val, in [0, 1].
        budgets: the most that an image may cost on average.
        criteria: names of those to try; None: all stored.
    """

    unit: Unit
    tolerances: tuple[float, ...]
    budgets: tuple[Budget, ...]
    criteria: tuple[str, ...] | None = None


@dataclass(frozen=True)
class SweepPoint:
    """One policy, chosen on val, and what it reaches on test.

    Attributes:
        name: such as "tol1" or "exit2".
        kind: what it was chosen for.
        criterion: that routes the images; None for a static exit.
        thresholds: one per exit but the last, None is never; None for a static exit.
        ms: mean time of a test image, predicted from the path costs.
        ms_without_criterion: the same without the criterion's time, which neither chance nor the oracle pays.
        flops: mean multiply-adds of a test image.
        share: of the test images that each exit answers, [E].
        map: COCO mAP on test, in [0, 1].
        low: lower end of its 95 % bootstrap interval.
        high: upper end.
        map50: AP50 on test, in [0, 1].
        small: AP of small boxes, in [0, 1]; None where there is no such box.
        medium: the same of medium ones.
        large: the same of large ones.
        val_map: mAP on val, where it was chosen.
        random: of a gate, the mAP when the same shares are dealt out at random.
        oracle: of a gate, the mAP that its cost buys whoever knows the boxes.
        efficiency: of a gate, how far it gets from the one to the other.
        alarms: of a policy that was asked for, what is wrong with it.
    """

    name: str
    kind: Kind
    criterion: str | None
    thresholds: tuple[float | None, ...] | None
    ms: float
    ms_without_criterion: float
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
    """A policy that the run chose with risk control, from its record.

    Attributes:
        name: such as "risk2".
        criterion: that routes the images.
        share: of the test images that each exit answers, [E].
        map: mAP as measured there, in [0, 1].
        low: lower end of its 95 % bootstrap interval.
        high: upper end.
        ms: mean latency as measured there.
        lost: mean F1 that it loses on the test images against the last exit.
        note: what it promised on val.
    """

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
    """What one stored detector can do.

    Attributes:
        detector: name of its folder.
        unit: what policies are cheap in, "latency" or "flops".
        val_images: how many images they were chosen on.
        test_images: how many they are shown on.
        test_hash: content hash of the test split.
        ms: time of an image that exit k answers without any criterion, [E].
        flops: its multiply-adds, [E].
        limit: times as fast as the last exit, which no policy can pass.
        points: the policies on test.
        curves: by criterion, (mean cost, mAP) on test of the policies on its own frontier on val.
        out_of_reach: budgets that no policy keeps, and why.
        criteria: how well each knows the images.
        example: name of the point of the exit profile.
        exit_profile: which kind of image leaves where, at that point.
        alarms: what is wrong with the detector.
        promises: policies that the run chose with risk control.
        unkept: names of the promises that no policy was shown to keep.
    """

    detector: str
    unit: Unit
    val_images: int
    test_images: int
    test_hash: str
    ms: tuple[float, ...]
    flops: tuple[int, ...]
    limit: float
    points: tuple[SweepPoint, ...]
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
    """Sweep every stored detector of a run, or one of them. What is left out is what the run itself asked for.

    Args:
        run_dir: folder of the run.
        cost: "latency" or "flops".
        budgets: mean costs such as "3ms" or "250MFLOPs".
        tolerances: shares of the last exit's mAP that may be lost on val, in [0, 1].
        criteria: names of those to try; None: all stored.
        detector: name of its folder; None: all.

    Returns:
        One sweep for each detector.

    Raises:
        UserError: the run has no exit tables, files are broken or do not belong together, or a name, budget or
            tolerance is none.
    """
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
    """Search on val, then look at test.

    Args:
        run: that stored the detector.
        folder: of the detector's tables.
        ask: what to choose policies for.

    Returns:
        The sweep.

    Raises:
        UserError: as `sweeps` does.
    """
    path_costs = load_path_costs(folder)
    val, test = matched_table(run, folder, "val"), matched_table(run, folder, "test")
    belong_together(val.table, test.table, path_costs, folder)
    for name in ask.criteria or ():
        if name not in val.table.scores:
            raise unknown("criterion", name, val.table.scores, where="--criteria")
    criteria = ask.criteria or tuple(val.table.scores)
    tried = search(val.table, val.matches, path_costs, criteria)
    policies, out_of_reach = chosen_policies(tried, ask, path_costs)
    exits = [test.table.route(chosen.policy) for _, chosen in policies]
    points = measured(policies, exits, val, test, path_costs, ask.unit, run, folder.name)
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
        ms=path_costs.ms,
        flops=path_costs.flops,
        limit=path_costs.ms[-1] / path_costs.ms[0],
        points=tuple(points),
        curves={name: curve(name, tried, test, path_costs, ask.unit) for name in criteria},
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


def chosen_policies(tried: Tried, ask: Ask, path_costs: PathCosts) -> tuple[list[tuple[Kind, ChosenPolicy]], list[str]]:
    """Choose the policies to look at on test.

    Args:
        tried: policies tried on val.
        ask: what to choose policies for.
        path_costs: of the detector.

    Returns:
        Kind and policy, and a sentence for every budget that no gate keeps.
    """
    policies: list[tuple[Kind, ChosenPolicy]] = [("static", one) for one in static_policies(len(path_costs.ms))]
    policies += [("frontier", one) for one in tried.frontier(ask.unit)]
    policies += [("tolerance", tried.cheapest(tolerance, ask.unit)) for tolerance in ask.tolerances]
    out_of_reach = []
    for budget in ask.budgets:
        if found := tried.within(budget):
            policies.append(("budget", found))
        else:
            first = amount(path_costs.ms[0] if budget.unit == "latency" else path_costs.flops[0], budget.unit)
            least = amount(float(tried.costs[budget.unit].min()), budget.unit)
            out_of_reach.append(
                f"no gate is within {budget.text}: the cheapest takes {least} on val, exit 1 by itself {first}"
            )
    return policies, out_of_reach


def amount(cost: float, unit: Unit) -> str:
    """Write a mean cost as people do, e.g. "2.31 ms" or "198 MFLOPs".

    Args:
        cost: ms or multiply-adds.
        unit: "latency" or "flops".

    Returns:
        Text.
    """
    return f"{cost:.2f} ms" if unit == "latency" else f"{cost / 1e6:.0f} MFLOPs"


def measured(
    policies: Sequence[tuple[Kind, ChosenPolicy]],
    exits: Sequence[NDArray[np.int64]],
    val: MatchedTable,
    test: MatchedTable,
    path_costs: PathCosts,
    unit: Unit,
    run: Run,
    label: str,
) -> list[SweepPoint]:
    """Measure every policy on test, and for gates what they are judged by.

    Neither chance nor the oracle pays for looking. What sends the images the same way is measured once.

    Args:
        policies: kind and policy.
        exits: where each sends the test images, int64 [N] each.
        val: the table they were chosen on.
        test: the table they are measured on.
        path_costs: of the detector.
        unit: "latency" or "flops", which the oracle's cost is counted in.
        run: gives seed and number of resamples.
        label: of the progress bar.

    Returns:
        A point for each policy.
    """
    different = {taken.tobytes(): taken for taken in exits}
    gates = {
        taken.tobytes(): taken for (_, chosen), taken in zip(policies, exits, strict=True) if chosen.policy.criterion
    }
    costs = path_costs.flops if unit == "flops" else [round(1e6 * ms) for ms in path_costs.ms]
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
    for (kind, chosen), taken in zip(policies, exits, strict=True):
        key = taken.tobytes()
        gate = controls[key] if chosen.policy.criterion else None
        val_map = val.map(val.table.route(chosen.policy))
        points.append(sweep_point(kind, chosen, taken, *reached[key], gate, val_map, path_costs))
    return points


def sweep_point(
    kind: Kind,
    chosen: ChosenPolicy,
    exits: NDArray[np.int64],
    reached: Accuracy,
    bounds: tuple[float, float],
    controls: tuple[Drawn, float] | None,
    val_map: float,
    path_costs: PathCosts,
) -> SweepPoint:
    """Put together what is known of one policy.

    Args:
        kind: what it was chosen for.
        chosen: the policy.
        exits: where it sends the test images, int64 [N].
        reached: its accuracy on test.
        bounds: 95 % interval of its mAP.
        controls: of a gate, what chance and the oracle reach; None for a static exit.
        val_map: its mAP on val, in [0, 1].
        path_costs: of the detector.

    Returns:
        The point.
    """
    policy, count = chosen.policy, len(path_costs.ms)
    share = np.bincount(exits, minlength=count) / len(exits)
    thresholds = tuple(None if threshold == math.inf else float(threshold) for threshold in policy.thresholds)
    return SweepPoint(
        name=chosen.name,
        kind=kind,
        criterion=policy.criterion,
        thresholds=thresholds if policy.criterion else None,
        ms=path_costs.mean(policy, share, "latency"),
        ms_without_criterion=float(share @ path_costs.mixed_traffic_ms(share)),
        flops=path_costs.mean(policy, share, "flops"),
        share=tuple(share.tolist()),
        map=reached.map or 0.0,
        low=bounds[0],
        high=bounds[1],
        map50=reached.map50 or 0.0,
        small=reached.ap_small,
        medium=reached.ap_medium,
        large=reached.ap_large,
        val_map=val_map,
        random=controls[0] if controls else None,
        oracle=controls[1] if controls else None,
        efficiency=gate_efficiency(reached.map or 0.0, *controls) if controls else None,
        alarms=policy_alarms(exits, count) if kind in ("tolerance", "budget") else (),
    )


def curve(
    name: str, tried: Tried, test: MatchedTable, path_costs: PathCosts, unit: Unit
) -> tuple[tuple[float, float], ...]:
    """Follow one criterion's frontier on val to test.

    Args:
        name: of the criterion.
        tried: policies tried on val, this criterion's among them.
        test: the table to measure on.
        path_costs: of the detector.
        unit: "latency" or "flops".

    Returns:
        (mean cost, mAP) on test of the policies at the frontier's corners, cheapest first.
    """
    own = [p for p, policy in enumerate(tried.policies) if policy.criterion == name]
    corners = [tried.policies[own[c]] for c in upper_hull(tried.costs[unit][own], tried.maps[own])]
    found = []
    for policy in corners:
        exits = test.table.route(policy)
        share = np.bincount(exits, minlength=test.table.exits) / len(exits)
        found.append((path_costs.mean(policy, share, unit), test.map(exits)))
    return tuple(found)


def promise(record: Record, test: MatchedTable) -> Promise:
    """Take a risk-controlled policy from its record, and say what it loses on the test table.

    Args:
        record: of a policy with a promise.
        test: the detector's table.

    Returns:
        The promise.

    Raises:
        UserError: the table holds no scores of its criterion.
    """
    made, exits = record.operating_point, test.table.route(routing(record))
    lost = losses(test.matches)[np.arange(len(exits)), exits].mean()
    return Promise(
        name=made.name,
        criterion=made.criterion or "",
        share=record.exit_share,
        map=record.map,
        low=record.map_interval[0],
        high=record.map_interval[1],
        ms=record.latency_ms.mean,
        lost=float(lost),
        note=made.note,
    )
