"""The conditional path executed on every image, against what the exit table says: a simulated policy is only worth what
the deployed detector really does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from bench.data.split import Split
from bench.exits.path_costs import PathCosts
from bench.exits.policy import Policy
from bench.measure.exit_table import ExitTable
from bench.measure.latency import Timing
from bench.progress import bar
from bench.records import Execution
from bench.runtimes import Deployed
from models.detector import Detections


def execute(deployed: Deployed, policy: Policy, split: Split, table: ExitTable, exits: np.ndarray) -> Execution:
    """Run the policy on every image of the split. table: of the same deployed and split; exits: int [N], simulated."""
    elsewhere = other = 0
    with bar(f"executing {deployed.candidate.strategy}", len(split)) as advance:
        for index, expected in enumerate(exits):
            answer = deployed.detect(split.image(index), policy)
            elsewhere += answer.exit != expected
            other += not same(answer.detections, table.detections[expected][index])
            advance()
    return Execution(images=len(split), exits_differ=int(elsewhere), detections_differ=int(other))


def same(one: Detections, other: Detections) -> bool:
    """Whether two sets of detections agree bit by bit, in order."""
    return all(torch.equal(getattr(one, part), getattr(other, part)) for part in ("boxes", "scores", "labels"))


def predicted_ms(
    policy: Policy, path_costs: PathCosts, static: Sequence[Timing], exits: np.ndarray, images: np.ndarray
) -> float:
    """Mean ms that the policy should take on the timed images (their places in the split, distinct and ascending): what
    the static exit that answers an image took on it, and the price of company and of the looks on its way. exits: int
    [N], simulated for the whole split."""
    alone = np.stack([timing.per_image for timing in static])
    taken = exits[images]
    share = np.bincount(taken, minlength=len(alone)) / len(taken)
    more = path_costs.mixed_traffic_ms(share) - np.array(path_costs.ms) + path_costs.criterion_ms(policy)
    return float((alone[taken, np.arange(len(taken))] + more[taken]).mean())
