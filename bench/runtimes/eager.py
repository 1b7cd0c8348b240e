"""PyTorch as it is written: the reference for correctness. A speed-up here says little about a shipped model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from bench.files import replacing
from bench.runtimes.base import programs
from models.detector import Detector, State
from strategies.base import Candidate

PRECISIONS = {"fp32"}
BATCHES = True


class EagerArtifact:
    """The detector's stages as they are (`bench.runtimes.base.Artifact`)."""

    def __init__(self, detector: Detector, size: int, threads: int):
        self.bytes, self.host_threads = size, threads
        self.audit: dict[str, Any] = {}
        self._programs = [program for program, _ in programs(detector)]

    def chain(self, batch: int) -> EagerChain:
        """Its stages, ready to run on `batch` images at once."""
        return EagerChain(self._programs)


class EagerChain:
    """Stages that are called one after the other; each takes and returns what a `Program` does."""

    def __init__(self, programs: Sequence[Callable[..., tuple[Tensor, ...]]]):
        self._programs = programs
        self._state: State = ()

    def start(self, pixels: Tensor) -> None:
        """Hand over the images, uint8 [N, size, size, 3]."""
        self._state = (pixels,)

    def step(self, stage: int) -> tuple[Tensor, Tensor]:
        """Run one stage: probabilities [N, 1 + C, A] and box code [N, A, 4]."""
        *state, probabilities, code = self._programs[stage](*self._state)
        self._state = tuple(state)
        return probabilities, code

    def state(self, stage: int) -> State:
        """What the stage handed to the next one, [N, ...] each."""
        return self._state

    def put(self, stage: int, state: Sequence[Tensor]) -> None:
        """Replace what the stage handed to the next one, row by row from the first."""
        self._state = tuple(state)


def build(candidate: Candidate, *, threads: int, folder: Path) -> EagerArtifact:
    """Build a candidate's artifact.

    Args:
        candidate: what to build.
        threads: of its programs.
        folder: where the files that would be shipped are written.

    Returns:
        The artifact.
    """
    path = folder / "model.safetensors"
    with replacing(path) as partial:
        save_file({key: value.contiguous() for key, value in candidate.detector.state_dict().items()}, partial)
    return EagerArtifact(candidate.detector, path.stat().st_size, threads)
