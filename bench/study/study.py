"""What is measured of one candidate, on the artifact that would be shipped.

Every exit, the policies chosen on val, their accuracy on test, and the time of all operating points against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

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
from bench.measure.latency import Contender, LatencySamples, interleaved
from bench.measure.parity import Parity, check_parity, parity
from bench.measure.store import save_path_costs, save_table
from bench.measure.throughput import ThroughputSamples, throughput
from bench.progress import bar
from bench.records import Auroc, Drawn, Execution, ExitProfile, detector_id
from bench.routing.alarms import detector_alarms, policy_alarms
from bench.routing.auroc import aurocs
from bench.routing.controls import random_exits
from bench.routing.exit_profile import exit_profile
from bench.routing.oracle import oracle
from bench.routing.search import ChosenPolicy, static_policies
from bench.runtimes import Deployed, takes_batches
from bench.runtimes.batched import Batched
from bench.spec import Measure
from bench.study.policies import select_policies
from strategies.base import Candidate


def last_exit_map(table: ExitTable, split: Split) -> float:
    """The mAP when the last exit answers every image.

    Args:
        table: of the split.
        split: its ground truth.

    Returns:
        mAP in [0, 1]; 0 where there is nothing to find.
    """
    return accuracy(evaluate(table, split.coco()), np.full(len(split), table.exits - 1), full=False).map or 0.0


@dataclass(frozen=True)
class OperatingPoint:
    """A deployed candidate with a policy, and its accuracy on the N test images.

    Attributes:
        name: unique among the operating points of a run.
        strategy: that made the candidate; where one inner exit answers all images, what the candidate amounts to then.
        deployed: the candidate on its runtime.
        chosen: the policy, and how it was chosen.
        exits: which exit answers each test image, from 0, int [N].
        accuracy: on the test split.
        replicates: mAP on every bootstrap draw of the test images, float64 [R]; nan where there is nothing to find.
        random: of a gate, what the same shares of exits give when they are dealt out at random.
        oracle: of a gate, the mAP that its cost buys whoever knows the boxes.
        executed: of a gate, the path really taken on every test image.
        exit_profile: of a gate, which kind of image leaves where.
        alarms: of a gate, what is wrong with it.
    """

    name: str
    strategy: str
    deployed: Deployed
    chosen: ChosenPolicy
    exits: NDArray[np.int64]
    accuracy: Accuracy
    replicates: NDArray[np.float64]
    random: Drawn | None = None
    oracle: float | None = None
    executed: Execution | None = None
    exit_profile: tuple[ExitProfile, ...] = ()
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """Everything but time about one candidate.

    Attributes:
        candidate: that is studied.
        costs: multiply-adds of an image that leaves at each exit, [E].
        table: its exit table on test.
        per_exit: accuracy on test when one exit answers all images, for each exit.
        calibration: detection calibration error of each exit, in [0, 1]; None where it has no detection.
        static: of every exit, the operating point at which it answers all images.
        gates: the operating points at which a policy chooses between exits.
        parity: agreement of the artifact with eager fp32 PyTorch.
        single: a multi-exit detector as one graph, to be timed against the chain; None with a single exit.
        path_costs: of a multi-exit detector, what its paths cost; else None.
        criteria: of a multi-exit detector, how well each criterion knows the images.
        alarms: of a multi-exit detector, what is wrong with it.
    """

    candidate: Candidate
    costs: list[Cost]
    table: ExitTable
    per_exit: list[Accuracy]
    calibration: list[float | None]
    static: list[OperatingPoint]
    gates: list[OperatingPoint]
    parity: Parity
    single: Deployed | None
    path_costs: PathCosts | None = None
    criteria: tuple[Auroc, ...] = ()
    alarms: tuple[str, ...] = ()

    @property
    def points(self) -> list[OperatingPoint]:
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

    Returns:
        Everything but time.

    Raises:
        UserError: the artifact does not compute what the candidate does.
    """
    candidate, detector = deployed.candidate, deployed.candidate.detector
    agreement = parity(deployed, [data.val.image(i) for i in range(min(PARITY_IMAGES, len(data.val)))])
    check_parity(agreement, deployed)
    costs = flops_per_exit(detector.stages, (torch.zeros(1, 3, detector.size, detector.size),))

    def points(policies: Sequence[ChosenPolicy]) -> list[OperatingPoint]:
        return [
            operating_point(
                deployed,
                one,
                table,
                matches,
                several_runtimes=several_runtimes,
                resamples=measure.resamples,
                seed=seed,
            )
            for one in policies
        ]

    if detector.exits == 1:
        table = exit_table(deployed, data.test)
        matches = evaluate(table, data.test.coco())
        static, calibration = points(static_policies(1)), list(map(calibration_error, matches))
        return Study(candidate, costs, table, per_exit(matches), calibration, static, [], agreement, single)
    with few_threads(deployed):
        selected = select_policies(deployed, data, [cost.flops for cost in costs], measure, seed)
    table = selected.scored(exit_table(deployed, data.test))
    for one in (selected.val, table):
        save_table(one, folder)
    save_gates(selected.learned, folder)
    save_path_costs(selected.path_costs, folder)
    matches = evaluate(table, data.test.coco())
    gates = [with_controls(one, table, matches, data.test, seed) for one in points(selected.policies)]
    return Study(
        candidate,
        costs,
        table,
        per_exit(matches),
        list(map(calibration_error, matches)),
        points(static_policies(detector.exits)),
        with_oracle(gates, matches, selected.path_costs, measure.cost, seed),
        agreement,
        single,
        selected.path_costs,
        tuple(aurocs(table, matches, measure.resamples, seed)),
        detector_alarms(matches, table.health, [float(stage.temperature) for stage in detector.stages], seed),
    )


def per_exit(matches: Sequence[Matches]) -> list[Accuracy]:
    """The accuracy when one exit answers every image, for each exit.

    Args:
        matches: one entry per exit.

    Returns:
        Accuracies, by exit, without those by object size.
    """
    images = len(matches[0].image_ids)
    return [accuracy(matches, np.full(images, exit), full=False) for exit in range(len(matches))]


def operating_point(
    deployed: Deployed,
    chosen: ChosenPolicy,
    table: ExitTable,
    matches: Sequence[Matches],
    *,
    several_runtimes: bool,
    resamples: int,
    seed: int,
) -> OperatingPoint:
    """Judge one policy on the test table: which exit answers each image, the mAP, and its paired bootstrap.

    Where that is always the same inner exit its strategy is what the candidate amounts to then.

    Args:
        deployed: the candidate on its runtime.
        chosen: the policy.
        table: of the test split.
        matches: the same detections matched, one entry per exit.
        several_runtimes: whether the name says which runtime it is on.
        resamples: bootstrap draws of the test images.
        seed: of the draws.

    Returns:
        The operating point, without a gate's controls.
    """
    candidate, policy = deployed.candidate, chosen.policy
    exits = table.route(policy)
    replicates = bootstrap_map(matches, exits, resamples, seed)
    if policy.criterion is None and (exits < table.exits - 1).all():
        candidate = replace(candidate, strategy=candidate.stopped_name or candidate.strategy)
    name = detector_id(candidate) + (f"-{chosen.name}" if deployed.exits > 1 else "")
    name += f"-{deployed.runtime}" if several_runtimes else ""
    return OperatingPoint(name, candidate.strategy, deployed, chosen, exits, accuracy(matches, exits), replicates)


def with_controls(
    point: OperatingPoint, table: ExitTable, matches: Sequence[Matches], test: Split, seed: int
) -> OperatingPoint:
    """Add what a gate is judged by: random exits, the path really executed, the exit profile and alarms.

    Args:
        point: whose policy looks at the image.
        table: of the test split.
        matches: the same detections matched, one entry per exit.
        test: the split.
        seed: of the random exits.

    Returns:
        The operating point with all but the oracle.
    """
    with few_threads(point.deployed):
        executed = execute(point.deployed, point.chosen.policy, test, table, point.exits)
    return replace(
        point,
        random=random_exits(matches, point.exits, seed),
        executed=executed,
        exit_profile=tuple(exit_profile(test.coco(), table.image_ids, point.exits, table.exits)),
        alarms=policy_alarms(point.exits, table.exits),
    )


def with_oracle(
    gates: Sequence[OperatingPoint], matches: Sequence[Matches], path_costs: PathCosts, unit: Unit, seed: int
) -> list[OperatingPoint]:
    """Add the oracle at its cost to every gate of one detector.

    It is sought for all gates together, so that a dearer one is never held against less. Looking costs the oracle
    nothing.

    Args:
        gates: operating points of one detector.
        matches: on test, one entry per exit.
        path_costs: of the detector.
        unit: "latency" or "flops", what the cost is counted in.
        seed: of the search.

    Returns:
        The gates, in their order.
    """
    costs = path_costs.flops if unit == "flops" else [round(1e6 * ms) for ms in path_costs.ms]
    best = oracle(matches, costs, [gate.exits for gate in gates], seed)
    return [
        replace(gate, oracle=accuracy(matches, exits, full=False).map or 0.0)
        for gate, exits in zip(gates, best, strict=True)
    ]


def time_points(studies: Sequence[Study], measure: Measure, seed: int, test: Split) -> dict[str, LatencySamples]:
    """Measure the latency of every operating point, all of them taking turns on the same test images.

    Under names of their own the baseline runs once more (AGAIN), and every multi-exit detector as a single graph
    (`single_name`).

    Args:
        studies: of all candidates on one runtime, the baseline among them.
        measure: how many images and rounds.
        seed: of the images and of all orders.
        test: the split.

    Returns:
        Latency samples by name; their images are places in the split.
    """
    chosen = timed_images(measure, seed, test)
    images = [np.array(test.image(int(index))) for index in chosen]
    points = [point for one in studies for point in one.points]
    contenders = {point.name: contender(point) for point in points}
    contenders[AGAIN] = contender(baseline_point(studies))
    for one in studies:
        if one.single is not None:
            contenders[single_name(one)] = partial(answer, one.single, static(0, 1))
    with few_threads(points[0].deployed), bar("timing", len(images) * measure.repeats) as advance:
        latencies = interleaved(
            contenders,
            images,
            repeats=measure.repeats,
            warmup=measure.warmup,
            seed=seed,
            progress=lambda done, total: advance(),
        )
    return {name: replace(one, images=chosen[one.images]) for name, one in latencies.items()}


def time_batches(studies: Sequence[Study], measure: Measure, seed: int, test: Split) -> dict[str, ThroughputSamples]:
    """Measure the throughput of every operating point, in batches of the timed images.

    Args:
        studies: of all candidates on one runtime.
        measure: how many images, rounds, and images in a batch.
        seed: of the images and of all orders.
        test: the split.

    Returns:
        Throughput samples by name; empty when the batch is 1, when there are too few images for one, or when the
        runtime takes one image at a time.
    """
    points = [point for one in studies for point in one.points]
    chosen = timed_images(measure, seed, test)
    if measure.batch_size == 1 or len(chosen) < measure.batch_size or not takes_batches(points[0].deployed.runtime):
        return {}
    images = [np.array(test.image(int(index))) for index in chosen]
    batched = {id(one.candidate): Batched(one.points[0].deployed) for one in studies}
    contenders = {
        point.name: (batched[id(one.candidate)], point.chosen.policy) for one in studies for point in one.points
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


def timed_images(measure: Measure, seed: int, test: Split) -> NDArray[np.int64]:
    """Draw the test images that time is measured on.

    Args:
        measure: how many.
        seed: of the draw.
        test: the split.

    Returns:
        Places in the split, ascending, int64 [n].
    """
    return np.sort(np.random.default_rng(seed).choice(len(test), size=min(measure.images, len(test)), replace=False))


@contextmanager
def few_threads(deployed: Deployed) -> Iterator[None]:
    """Within it, torch uses as many threads as the runtime leaves it.

    Args:
        deployed: on that runtime.

    Yields:
        Nothing.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(deployed.artifact.host_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def contender(point: OperatingPoint) -> Contender:
    """Make what is timed of an operating point: one call of its conditional path.

    Args:
        point: with its policy.

    Returns:
        Takes an image, uint8 [H, W, 3]; returns the exit that answered.
    """
    return partial(answer, point.deployed, point.chosen.policy)


def answer(deployed: Deployed, policy: Policy, image: NDArray[np.uint8]) -> int:
    """Detect, and say which exit it took.

    Args:
        deployed: the detector on its runtime.
        policy: which exit answers.
        image: uint8 [H, W, 3] RGB.

    Returns:
        The exit, from 0.
    """
    return deployed.detect(image, policy).exit


def single_name(one: Study) -> str:
    """Name a multi-exit detector as one graph among the contenders.

    Args:
        one: of the detector.

    Returns:
        A name that no operating point has.
    """
    return f"{detector_id(one.candidate)} as one graph"


def baseline_point(studies: Sequence[Study]) -> OperatingPoint:
    """Find the operating point that the others are compared with: the fp32 baseline that they were built on.

    Args:
        studies: the baseline's among them.

    Returns:
        Its only operating point.
    """
    return next(p for one in reversed(studies) for p in one.static if one.candidate.strategy == "baseline")
