"""The ExitTable: one pass of a Deployed over a split.

Per image and exit, the detections, every criterion's score, the features that a learned gate reads and the signs of
health; from then on each policy is arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.accuracy.coco import ground_truth
from bench.accuracy.matching import Matches, match
from bench.data.split import Split
from bench.exits.health import exit_health
from bench.exits.policy import Policy
from bench.exits.registry import CRITERIA
from bench.exits.view import View
from bench.progress import bar
from bench.runtimes.base import Deployed
from models.detector import Detections
from models.errors import UserError


@dataclass(frozen=True, eq=False)
class ExitTable:
    """What every exit of a detector says of every image of a split.

    Scores, health and features are empty with a single exit.

    Attributes:
        role: of the split, e.g. "val".
        split_hash: content hash of the split.
        image_ids: of the N images, in their order.
        detections: `detections[exit][image]`.
        scores: of each criterion, by name, float64 [N, E].
        health: of each sign of health (`bench.exits.health`), by name, float64 [N, E].
        features: for a table that a gate reads (`bench.exits.features`), float64 [N, E, F]; else empty.
    """

    role: str
    split_hash: str
    image_ids: tuple[int, ...]
    detections: Sequence[Sequence[Detections]]
    scores: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    health: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    features: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0, 0)))

    @property
    def exits(self) -> int:
        """How many exits the detector has, E."""
        return len(self.detections)

    def route(self, policy: Policy) -> NDArray[np.int64]:
        """Say which exit answers each image under a policy.

        Args:
            policy: a static one, or one whose criterion has scores here.

        Returns:
            Exits from 0, int64 [N].

        Raises:
            UserError: the table holds no scores of the criterion.
        """
        if policy.criterion is None:
            return policy.route(np.zeros((len(self.image_ids), self.exits)))
        if policy.criterion not in self.scores:
            what = f"the table holds no scores of the criterion {policy.criterion!r}"
            raise UserError(what, where=f"{self.role} table", fix="run the benchmark again")
        return policy.route(self.scores[policy.criterion])

    def composed(self, exits: NDArray[np.integer]) -> list[Detections]:
        """Take each image's detections from the exit that answers it.

        Args:
            exits: which exit that is, int [N].

        Returns:
            Detections by image.
        """
        return [self.detections[exit][index] for index, exit in enumerate(exits)]


def exit_table(deployed: Deployed, split: Split, images: int | None = None) -> ExitTable:
    """Run every exit on every image of a split, on the artifact itself.

    Args:
        deployed: the detector on its runtime.
        split: its images.
        images: how many of them, the first ones; None: all.

    Returns:
        The table.
    """
    count = len(split) if images is None else min(images, len(split))
    seen: list[list[dict[str, float]]] = []
    shown: list[list[NDArray[np.float64]]] = []
    detections: list[list[Detections]] = [[] for _ in range(deployed.exits)]
    criteria = CRITERIA.all()

    def watch(view: View) -> tuple[Detections, dict[str, float], NDArray[np.float64]]:
        scores = {name: criterion(view) for name, criterion in criteria.items()}
        decode = deployed.candidate.detector.decoders[view.exit]
        return view.detections, scores | exit_health(view, decode), view.features

    threads = torch.get_num_threads()
    torch.set_num_threads(deployed.artifact.host_threads)
    try:
        with bar(f"{deployed.candidate.strategy} on {split.role}", count) as advance:
            for index in range(count):
                if deployed.exits == 1:
                    detections[0] += deployed.every_exit(split.image(index), lambda view: view.detections)
                else:
                    answers, scores, features = zip(*deployed.every_exit(split.image(index), watch), strict=True)
                    seen.append(list(scores))
                    shown.append(list(features))
                    for exit, found in enumerate(answers):
                        detections[exit].append(found)
                advance()
    finally:
        torch.set_num_threads(threads)
    ids = tuple(example.id for example in split.examples[:count])
    if deployed.exits == 1:
        return ExitTable(split.role, split.hash, ids, detections)
    columns = {name: np.array([[exit[name] for exit in image] for image in seen]) for name in seen[0][0]}
    by_criterion = {name: columns.pop(name) for name in criteria}
    return ExitTable(split.role, split.hash, ids, detections, by_criterion, columns, np.array(shown))


def evaluate(table: ExitTable, coco: Mapping[str, Any]) -> list[Matches]:
    """Match every exit's detections with the ground truth, once.

    Args:
        table: with the detections.
        coco: COCO ground-truth dict of the split.

    Returns:
        Matches, one entry per exit.

    Raises:
        UserError: the ground truth cannot be used.
    """
    truth = ground_truth(coco)
    return [match(truth, table.image_ids, detections) for detections in table.detections]
