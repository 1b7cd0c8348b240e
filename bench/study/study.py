"""What is measured of one candidate: every exit on the artifact, the policies chosen on val, their accuracy on test,
and the time of all operating points against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bench.accuracy.calibration import calibration_error
from bench.accuracy.coco import Accuracy, accuracy, bootstrap_map
from bench.accuracy.matching import Matches
from bench.data.split import Dataset, Split
from bench.exits.learned import save_gates
from bench.exits.path_costs import PathCosts, Unit
from bench.exits.policy import Policy, static
from bench.measure.execution import execute
from bench.measure.exit_table import ExitTable, evaluate, exit_table
from bench.measure.flops import Cost, flops_per_exit
from bench.measure.latency import Contender, Timing, interleaved
from bench.measure.parity import Parity, check_parity, parity
from bench.measure.store import save_prices, save_table
from bench.measure.throughput import Throughput, throughput
from bench.progress import bar
from bench.records import Auroc, Drawn, Execution, ExitProfile, detector_id
from bench.routing.alarms import detector_alarms, policy_alarms
from bench.routing.auroc import aurocs
from bench.routing.controls import random_exits
from bench.routing.exit_profile import exit_profile
from bench.routing.oracle import oracle
from bench.routing.search import Choice, static_choices
from bench.runtimes import Deployed, takes_batches
from bench.runtimes.batched import Batched
from bench.spec import Measure
from bench.study.policies import select_policies
from strategies.base import Candidate


def last_exit_map(table: ExitTable, split: Split) -> float:
    """mAP when the last exit answers every image; 0 where there is nothing to find."""
    return accuracy(evaluate(table, split.coco()), np.full(len(split), table.exits - 1), full=False).map or 0.0


@dataclass(frozen=True)
class Point:
    """An operating point: a deployed candidate with a policy, which exit answers each test image, and its accuracy.
    Of a gate also: random, what the same shares of exits give when they are dealt out at random; oracle, the mAP that
    its cost buys whoever knows the boxes; executed, the path really taken on every test image; exit_profile, who leaves
    where; alarms."""

    name: str
    strategy: str
    deployed: Deployed
    choice: Choice
    exits: np.ndarray
    accuracy: Accuracy
    replicates: np.ndarray
    random: Drawn | None = None
    oracle: float | None = None
    executed: Execution | None = None
    exit_profile: tuple[ExitProfile, ...] = ()
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """Everything but time about one candidate: its operating points on test, and of every exit the cost, the accuracy
    when it answers all images, and the calibration error. static: of every exit, the point at which it answers all
    images. gates: the points at which a policy chooses between exits. single: a multi-exit detector as one graph, to be
    timed against the chain. prices, criteria, alarms: of a multi-exit detector, what its ways cost, how well each
    criterion knows the images, and what is wrong with it."""

    candidate: Candidate
    costs: list[Cost]
    table: ExitTable
    per_exit: list[Accuracy]
    calibration: list[float | None]
    static: list[Point]
    gates: list[Point]
    parity: Parity
    single: Deployed | None
    prices: PathCosts | None = None
    criteria: tuple[Auroc, ...] = ()
    alarms: tuple[str, ...] = ()

    @property
    def points(self) -> list[Point]:
        """All of its operating points, the static ones first."""
        return [*self.static, *self.gates]


AGAIN = "baseline again"
PARITY_IMAGES = 16


def study(
    deployed: Deployed,
    single: Deployed | None,
    data: Dataset,
    measure: Measure,
    *,
    seed: int,
    folder: Path,
    several_runtimes: bool = False,
) -> Study:
    """Choose a deployed candidate's policies on val, and measure their accuracy on test.

    Args:
        deployed: the candidate on its runtime.
        single: the same as one graph, where it has several exits.
        data: train, val and test.
        measure: what to choose policies for, and how often to resample.
        seed: of the resamples and of everything drawn.
        folder: where a multi-exit detector's exit tables are kept (`bench.measure.store`).
        several_runtimes: whether the names of points say which runtime they are on.

    Raises:
        UserError: the artifact does not compute what the candidate does.
    """
    candidate, detector = deployed.candidate, deployed.candidate.detector
    agreement = parity(deployed, [data.val.image(i) for i in range(min(PARITY_IMAGES, len(data.val)))])
    check_parity(agreement, deployed)
    costs = flops_per_exit(list(detector.stages), (torch.zeros(1, 3, detector.size, detector.size),))

    def points(choices: Sequence[Choice]) -> list[Point]:
        how = {"several_runtimes": several_runtimes, "resamples": measure.resamples, "seed": seed}
        return [point(deployed, choice, table, matches, **how) for choice in choices]

    if detector.exits == 1:
        table = exit_table(deployed, data.test)
        matches = evaluate(table, data.test.coco())
        static, calibration = points(static_choices(1)), list(map(calibration_error, matches))
        return Study(candidate, costs, table, per_exit(matches), calibration, static, [], agreement, single)
    with few_threads(deployed):
        chosen = select_policies(deployed, data, [cost.flops for cost in costs], measure, seed)
    table = chosen.scored(exit_table(deployed, data.test))
    for one in (chosen.val, table):
        save_table(one, folder)
    save_gates(chosen.learned, folder)
    save_prices(chosen.prices, folder)
    matches = evaluate(table, data.test.coco())
    gates = [gate(one, table, matches, data.test, seed) for one in points(chosen.choices)]
    return Study(
        candidate,
        costs,
        table,
        per_exit(matches),
        list(map(calibration_error, matches)),
        points(static_choices(detector.exits)),
        with_oracle(gates, matches, chosen.prices, measure.cost, seed),
        agreement,
        single,
        chosen.prices,
        tuple(aurocs(table, matches, measure.resamples, seed)),
        detector_alarms(matches, table.health, [float(stage.temperature) for stage in detector.stages], seed),
    )


def per_exit(matches: Sequence[Matches]) -> list[Accuracy]:
    """The accuracy when one exit answers every image, for each exit."""
    images = len(matches[0].image_ids)
    return [accuracy(matches, np.full(images, exit), full=False) for exit in range(len(matches))]


def point(
    deployed: Deployed,
    choice: Choice,
    table: ExitTable,
    matches: Sequence[Matches],
    *,
    several_runtimes: bool,
    resamples: int,
    seed: int,
) -> Point:
    """One policy on the test table: which exit answers each image, the mAP, and its paired bootstrap. Where that is
    always the same inner exit its strategy is what the candidate amounts to then."""
    candidate, policy = deployed.candidate, choice.policy
    scores = table.scores.get(policy.criterion, np.zeros((len(table.image_ids), table.exits)))
    exits = policy.route(scores)
    replicates = bootstrap_map(matches, exits, resamples, seed)
    if policy.criterion is None and (exits < table.exits - 1).all():
        candidate = replace(candidate, strategy=candidate.stopped_name or candidate.strategy)
    name = detector_id(candidate) + (f"-{choice.name}" if deployed.exits > 1 else "")
    name += f"-{deployed.runtime}" if several_runtimes else ""
    return Point(name, candidate.strategy, deployed, choice, exits, accuracy(matches, exits), replicates)


def gate(point: Point, table: ExitTable, matches: Sequence[Matches], test: Split, seed: int) -> Point:
    """A gate's point with what it is to be judged by: the controls, the path executed, who leaves where."""
    with few_threads(point.deployed):
        executed = execute(point.deployed, point.choice.policy, test, table, point.exits)
    return replace(
        point,
        random=random_exits(matches, point.exits, seed),
        executed=executed,
        exit_profile=tuple(exit_profile(test.coco(), table.image_ids, point.exits, table.exits)),
        alarms=policy_alarms(point.exits, table.exits),
    )


def with_oracle(
    gates: Sequence[Point], matches: Sequence[Matches], prices: PathCosts, unit: Unit, seed: int
) -> list[Point]:
    """The gates of one detector, each knowing the oracle at its cost: of all gates together, so that a dearer one is
    never held against less. Looking costs the oracle nothing."""
    costs = prices.flops if unit == "flops" else [round(1e6 * ms) for ms in prices.ms]
    best = oracle(matches, costs, [gate.exits for gate in gates], seed)
    return [
        replace(gate, oracle=accuracy(matches, exits, full=False).map or 0.0)
        for gate, exits in zip(gates, best, strict=True)
    ]


def time_points(studies: Sequence[Study], measure: Measure, seed: int, test: Split) -> dict[str, Timing]:
    """Latency of every operating point, all of them taking turns on the same test images; and under names of their own,
    the baseline once more (AGAIN) and every multi-exit detector as a single graph (`single_name`)."""
    chosen = timed_images(measure, seed, test)
    images = [np.array(test.image(int(index))) for index in chosen]
    points = [point for one in studies for point in one.points]
    contenders = {point.name: contender(point) for point in points}
    contenders[AGAIN] = contender(baseline_point(studies))
    for one in studies:
        if one.single is not None:
            contenders[single_name(one)] = partial(answer, one.single, static(0, 1))
    with few_threads(points[0].deployed), bar("timing", len(images) * measure.repeats) as advance:
        timings = interleaved(
            contenders,
            images,
            repeats=measure.repeats,
            warmup=measure.warmup,
            seed=seed,
            progress=lambda done, total: advance(),
        )
    return {name: replace(timing, images=chosen[timing.images]) for name, timing in timings.items()}


def time_batches(studies: Sequence[Study], measure: Measure, seed: int, test: Split) -> dict[str, Throughput]:
    """Throughput of every operating point in batches on the timed images; empty when the batch is 1, when there are too
    few images for one, or when the runtime takes one image at a time."""
    points = [point for one in studies for point in one.points]
    chosen = timed_images(measure, seed, test)
    if measure.batch_size == 1 or len(chosen) < measure.batch_size or not takes_batches(points[0].deployed.runtime):
        return {}
    images = [np.array(test.image(int(index))) for index in chosen]
    batched = {id(one.candidate): Batched(one.points[0].deployed) for one in studies}
    contenders = {
        point.name: (batched[id(one.candidate)], point.choice.policy) for one in studies for point in one.points
    }
    rounds = len(images) // measure.batch_size * measure.repeats
    with few_threads(points[0].deployed), bar(f"timing batches of {measure.batch_size}", rounds) as advance:
        return throughput(
            contenders,
            images,
            batch=measure.batch_size,
            repeats=measure.repeats,
            seed=seed,
            progress=lambda done, total: advance(),
        )


def timed_images(measure: Measure, seed: int, test: Split) -> np.ndarray:
    """Which test images time is measured on: int64, ascending."""
    return np.sort(np.random.default_rng(seed).choice(len(test), size=min(measure.images, len(test)), replace=False))


@contextmanager
def few_threads(deployed: Deployed) -> Iterator[None]:
    """torch uses as many threads as the runtime leaves it."""
    before = torch.get_num_threads()
    torch.set_num_threads(deployed.artifact.host_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def contender(point: Point) -> Contender:
    """One call of the operating point's conditional path; returns the exit it took."""
    return partial(answer, point.deployed, point.choice.policy)


def answer(deployed: Deployed, policy: Policy, image: np.ndarray) -> int:
    """Detect, and say which exit it took."""
    return deployed.detect(image, policy).exit


def single_name(one: Study) -> str:
    """What a multi-exit detector as one graph is called among the contenders."""
    return f"{detector_id(one.candidate)} as one graph"


def baseline_point(studies: Sequence[Study]) -> Point:
    """The operating point that the others are compared with: the fp32 baseline that they were built on."""
    return next(p for one in reversed(studies) for p in one.static if one.candidate.strategy == "baseline")
