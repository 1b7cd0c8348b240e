"""The conditional path executed on every image, against what the exit table says.

A simulated policy is only worth what the deployed detector really does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.data.split import Split
from bench.exits.path_costs import PathCosts
from bench.exits.policy import Policy
from bench.measure.exit_table import ExitTable
from bench.measure.latency import LatencySamples
from bench.progress import bar
from bench.records import Execution
from bench.runtimes import Deployed
from models.detector import Detections


def execute(
    deployed: Deployed, policy: Policy, split: Split, table: ExitTable, exits: NDArray[np.integer]
) -> Execution:
    """Run a policy on every image of a split.

    Args:
        deployed: the detector on its runtime.
        policy: decides where each image leaves.
        split: of N images.
        table: of the same deployed detector and split.
        exits: the simulated exits, int [N].

    Returns:
        What differs.
    """
    elsewhere = other = 0
    with bar(f"executing {deployed.candidate.strategy}", len(split)) as advance:
        for index, expected in enumerate(exits):
            answer = deployed.detect(split.image(index), policy)
            elsewhere += answer.exit != expected
            other += not same(answer.detections, table.detections[expected][index])
            advance()
    return Execution(images=len(split), exits_differ=int(elsewhere), detections_differ=int(other))


def same(one: Detections, other: Detections) -> bool:
    """Whether two sets of detections agree bit by bit, in order.

    Args:
        one: the detections.
        other: those to compare them with.

    Returns:
        True when all parts are equal.
    """
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in ("boxes", "scores", "labels"))


def predicted_ms(
    policy: Policy,
    path_costs: PathCosts,
    static: Sequence[LatencySamples],
    exits: NDArray[np.integer],
    images: NDArray[np.integer],
) -> float:
    """Mean time that a policy should take on the timed images.

    What the static exit that answers an image took on it, plus the switch cost and the criterion cost on its path.

    Args:
        policy: its criterion counts.
        path_costs: of the detector.
        static: of each static exit, on the timed images.
        exits: the simulated exits, int [N], for the whole split.
        images: the timed images' indices in the split, distinct and ascending, int [n].

    Returns:
        ms per image.
    """
    alone = np.stack([one.per_image for one in static])
    taken = exits[images]
    share = np.bincount(taken, minlength=len(alone)) / len(taken)
    more = path_costs.mixed_traffic_ms(share) - np.array(path_costs.ms) + path_costs.criterion_ms(policy)
    return float((alone[taken, np.arange(len(taken))] + more[taken]).mean())
