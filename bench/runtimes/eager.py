"""PyTorch as it is written: the reference for correctness. A speed-up here says little about a shipped model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from bench.files import replacing
from models.detector import Detector, State
from strategies.base import Candidate

PRECISIONS = {"fp32"}


class EagerChain:
    def __init__(self, detector: Detector, size: int, threads: int):
        self.detector, self.bytes, self.host_threads = detector, size, threads
        self.audit: dict[str, Any] = {}
        self._state: State = ()

    def start(self, pixels: Tensor) -> None:
        self._state = (pixels,)

    def step(self, stage: int) -> tuple[Tensor, Tensor]:
        self._state, raw = self.detector.stages[stage](*self._state)
        probabilities, boxes = self.detector.decode(*raw)
        return probabilities[0], boxes[0]


def chain(candidate: Candidate, *, threads: int, folder: Path) -> EagerChain:
    path = folder / "model.safetensors"
    with replacing(path) as partial:
        save_file({key: value.contiguous() for key, value in candidate.detector.state_dict().items()}, partial)
    return EagerChain(candidate.detector, path.stat().st_size, threads)
