"""The ExitTable: one pass of a Deployed over a split. Per image and exit, the detections and every criterion's score;
from then on each policy is arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from bench.progress import bar
from bench.routing.criteria import CRITERIA
from bench.routing.view import View
from bench.runtimes.base import Deployed
from models.detector import Detections


class Scenes(Protocol):
    role: str
    hash: str

    def __len__(self) -> int: ...
    def image(self, index: int) -> np.ndarray: ...


@dataclass(frozen=True)
class ExitTable:
    """detections[exit][image], and scores[criterion] as float64 [N, E]. role: which split it was made on."""

    role: str
    split_hash: str
    detections: Sequence[Sequence[Detections]]
    scores: dict[str, np.ndarray]

    @property
    def exits(self) -> int:
        return len(self.detections)

    def composed(self, exits: np.ndarray) -> list[Detections]:
        """Each image's detections from the exit that answers it, int [N]."""
        return [self.detections[exit][index] for index, exit in enumerate(exits)]


def exit_table(deployed: Deployed, split: Scenes) -> ExitTable:
    """Run every exit on every image of the split, on the artifact itself."""
    criteria = CRITERIA if deployed.exits > 1 else {}
    detections: list[list[Detections]] = [[] for _ in range(deployed.exits)]
    scores = {name: np.zeros((len(split), deployed.exits)) for name in criteria}
    threads = torch.get_num_threads()
    torch.set_num_threads(deployed.artifact.host_threads)
    label = f"{deployed.candidate.strategy} on {split.role}"

    def watch(view: View) -> dict[str, float]:
        return {name: criterion(view) for name, criterion in criteria.items()}

    try:
        with bar(label, len(split)) as advance:
            for index in range(len(split)):
                answers = deployed.every_exit(split.image(index), watch)
                for exit, (found, watched) in enumerate(answers):
                    detections[exit].append(found)
                    for name, value in watched.items():
                        scores[name][index, exit] = value
                advance()
    finally:
        torch.set_num_threads(threads)
    return ExitTable(split.role, split.hash, detections, scores)
