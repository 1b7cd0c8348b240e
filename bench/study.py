"""What is measured of one candidate: every exit on the artifact, the policies chosen on val, their accuracy on test,
and the time of all operating points against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from bench.data.split import Dataset, Split
from bench.measure.accuracy import Accuracy, accuracy, bootstrap_map, ground_truth
from bench.measure.cost import Cost, flops_per_exit
from bench.measure.latency import Contender, Timing, interleaved
from bench.measure.matching import Matches, match
from bench.measure.parity import Parity, check_parity, parity
from bench.measure.throughput import Throughput, throughput
from bench.progress import bar
from bench.routing.controls import Drawn, random_exits
from bench.routing.oracle import oracle
from bench.routing.policy import Policy, static
from bench.routing.search import Choice, search, static_choices
from bench.routing.table import ExitTable, exit_table
from bench.runtimes import Deployed, takes_batches
from bench.runtimes.batched import Batched
from bench.spec import Measure, RunSpec
from bench.verdict import EARLY
from strategies.base import Candidate


def evaluate(table: ExitTable, split: Split) -> list[Matches]:
    """Every exit's detections matched with the ground truth, once."""
    truth, ids = ground_truth(split.coco()), [example.id for example in split.examples]
    return [match(truth, ids, detections) for detections in table.detections]


def last_exit_map(table: ExitTable, split: Split) -> float:
    """mAP when the last exit answers every image; 0 where there is nothing to find."""
    return accuracy(evaluate(table, split), np.full(len(split), table.exits - 1), full=False).map or 0.0


@dataclass(frozen=True)
class Point:
    """An operating point: a deployed candidate with a policy, which exit answers each test image, and its accuracy.
    random: for a gate, what the same shares of exits give when they are dealt out at random. oracle: for a gate, the
    mAP that its cost buys whoever knows the boxes."""

    name: str
    strategy: str
    deployed: Deployed
    choice: Choice
    exits: np.ndarray
    accuracy: Accuracy
    replicates: np.ndarray
    random: Drawn | None
    oracle: float | None = None


@dataclass(frozen=True)
class Study:
    """Everything but time about one candidate: its operating points on test, and the cost of every exit. single: a
    multi-exit detector as one graph, to be timed against the chain."""

    candidate: Candidate
    costs: list[Cost]
    table: ExitTable
    per_exit: list[Accuracy]
    points: list[Point]
    parity: Parity
    single: Deployed | None


AGAIN = "baseline again"
PARITY_IMAGES = 16


def key(candidate: Candidate) -> str:
    """A candidate's name in files and tables."""
    return f"{candidate.strategy}-{candidate.variant}"


def study(deployed: Deployed, single: Deployed | None, spec: RunSpec, data: Dataset) -> Study:
    """Choose a deployed candidate's policies on val, and measure their accuracy on test."""
    candidate, detector = deployed.candidate, deployed.candidate.detector
    agreement = parity(deployed, [data.val.image(i) for i in range(min(PARITY_IMAGES, len(data.val)))])
    check_parity(agreement, deployed)
    costs = flops_per_exit(list(detector.stages), (torch.zeros(1, 3, detector.size, detector.size),))
    choices = static_choices(detector.exits)
    if detector.exits > 1:
        val = exit_table(deployed, data.val)
        flops = [cost.flops for cost in costs]
        choices += search(val, evaluate(val, data.val), flops, candidate.criteria, spec.measure.tolerances)
    table = exit_table(deployed, data.test)
    matches = evaluate(table, data.test)
    points = [point(deployed, choice, table, matches, spec) for choice in choices]
    points = with_oracle(points, matches, [cost.flops for cost in costs], spec.seed)
    per_exit = [accuracy(matches, np.full(len(data.test), exit), full=False) for exit in range(detector.exits)]
    return Study(candidate, costs, table, per_exit, points, agreement, single)


def point(deployed: Deployed, choice: Choice, table: ExitTable, matches: Sequence[Matches], spec: RunSpec) -> Point:
    """One policy on the test table: which exit answers each image, the mAP, and its paired bootstrap."""
    scores = table.scores.get(choice.policy.criterion, np.zeros((len(table.detections[0]), table.exits)))
    exits = choice.policy.route(scores)
    replicates = bootstrap_map(matches, exits, spec.measure.resamples, spec.seed)
    strategy, variant = deployed.candidate.strategy, deployed.candidate.variant
    if choice.policy.criterion is None and (exits < table.exits - 1).all():
        strategy = truncated(strategy)
    name = f"{strategy}-{variant}" + (f"-{choice.name}" if deployed.exits > 1 else "")
    name += f"-{deployed.runtime}" if len(spec.runtimes) > 1 else ""
    random = random_exits(matches, exits, spec.seed) if choice.policy.criterion else None
    return Point(name, strategy, deployed, choice, exits, accuracy(matches, exits), replicates, random)


def with_oracle(points: Sequence[Point], matches: Sequence[Matches], flops: Sequence[int], seed: int) -> list[Point]:
    """The points of one detector, each gate knowing the oracle at its cost: of all gates together, so that a dearer one
    is never held against less."""
    gates = [point for point in points if point.choice.policy.criterion]
    best = oracle(matches, flops, [gate.exits for gate in gates], seed)
    reached = {
        gate.name: accuracy(matches, exits, full=False).map or 0.0 for gate, exits in zip(gates, best, strict=True)
    }
    return [replace(point, oracle=reached.get(point.name)) for point in points]


def truncated(strategy: str) -> str:
    """What a multi-exit strategy is called when every image leaves at one inner exit: a plain shallower network."""
    return "+".join("truncate" if part in EARLY else part for part in strategy.split("+"))


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
    if measure.batch == 1 or len(chosen) < measure.batch or not takes_batches(points[0].deployed.runtime):
        return {}
    images = [np.array(test.image(int(index))) for index in chosen]
    batched = {id(one.candidate): Batched(one.points[0].deployed) for one in studies}
    contenders = {
        point.name: (batched[id(one.candidate)], point.choice.policy) for one in studies for point in one.points
    }
    rounds = len(images) // measure.batch * measure.repeats
    with few_threads(points[0].deployed), bar(f"timing batches of {measure.batch}", rounds) as advance:
        return throughput(
            contenders,
            images,
            batch=measure.batch,
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
    return f"{key(one.candidate)} as one graph"


def baseline_point(studies: Sequence[Study]) -> Point:
    """The operating point that the others are compared with: the fp32 baseline that they were built on."""
    return next(p for one in reversed(studies) for p in one.points if one.candidate.strategy == "baseline")
