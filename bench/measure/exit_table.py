"""The ExitTable: one pass of a Deployed over a split. Per image and exit, the detections, every criterion's score, what
a learned gate is told and the signs of health; from then on each policy is arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from bench.accuracy.coco import ground_truth
from bench.accuracy.matching import Matches, match
from bench.data.split import Split
from bench.exits.health import exit_health
from bench.exits.registry import CRITERIA
from bench.exits.view import View
from bench.progress import bar
from bench.runtimes.base import Deployed
from models.detector import Detections


@dataclass(frozen=True, eq=False)
class ExitTable:
    """role, split_hash: the split it was made on. image_ids [N]. detections[exit][image]. scores[criterion] and
    health[sign] (`bench.exits.health`) as float64 [N, E]; features float64 [N, E, F] (`bench.exits.features`), for
    a table that a gate reads. All three are empty with a single exit."""

    role: str
    split_hash: str
    image_ids: tuple[int, ...]
    detections: Sequence[Sequence[Detections]]
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    health: dict[str, np.ndarray] = field(default_factory=dict)
    features: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))

    @property
    def exits(self) -> int:
        return len(self.detections)

    def composed(self, exits: np.ndarray) -> list[Detections]:
        """Each image's detections from the exit that answers it, int [N]."""
        return [self.detections[exit][index] for index, exit in enumerate(exits)]


def exit_table(deployed: Deployed, split: Split, images: int | None = None) -> ExitTable:
    """Run every exit on every image of the split, or on its first `images`, on the artifact itself."""
    count = len(split) if images is None else min(images, len(split))
    seen: list[list[dict[str, float]]] = []
    told: list[list[np.ndarray]] = []
    detections: list[list[Detections]] = [[] for _ in range(deployed.exits)]
    criteria = CRITERIA.all()

    def watch(view: View) -> tuple[Detections, dict[str, float], np.ndarray]:
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
                    told.append(list(features))
                    for exit, found in enumerate(answers):
                        detections[exit].append(found)
                advance()
    finally:
        torch.set_num_threads(threads)
    ids = tuple(example.id for example in split.examples[:count])
    if deployed.exits == 1:
        return ExitTable(split.role, split.hash, ids, detections)
    columns = {name: np.array([[exit[name] for exit in image] for image in seen]) for name in seen[0][0]}
    scores = {name: columns.pop(name) for name in criteria}
    return ExitTable(split.role, split.hash, ids, detections, scores, columns, np.array(told))


def evaluate(table: ExitTable, coco: Mapping[str, Any]) -> list[Matches]:
    """Every exit's detections matched with a COCO ground-truth dict, once."""
    truth = ground_truth(coco)
    return [match(truth, table.image_ids, detections) for detections in table.detections]
