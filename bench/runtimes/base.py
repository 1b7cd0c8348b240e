"""The one artifact: a candidate on a runtime, as a chain of per-stage programs with the policy between them on the
host. Every accuracy and every latency is measured on this object. Resizing, the criterion and NMS are inside the timed
path, and the same code for all runtimes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from bench.routing.policy import Policy
from models.detector import Detections, to_input
from models.errors import UserError, unknown
from strategies.base import Candidate

RUNTIMES = {
    "openvino": "OpenVINO on the CPU, fp32 and int8 (NNCF): what would be shipped",
    "onnxruntime": "ONNX Runtime on the CPU, fp32 and int8 (static QDQ)",
    "inductor": "torch.compile with frozen weights, fp32 and int8 (torchao); needs a C++ compiler",
    "eager": "PyTorch as it is written, fp32: for checking, not for speed",
}


class Chain(Protocol):
    """A candidate's stages as programs of one runtime, batch 1.

    bytes: size of what would be shipped. host_threads: how many threads torch may use around the programs.
    audit: facts about the artifact (how many int8 layers, say).
    """

    bytes: int
    host_threads: int
    audit: dict[str, Any]

    def start(self, pixels: Tensor) -> None:
        """Hand over one image, float32 [1, 3, size, size] in [-1, 1]."""

    def step(self, stage: int) -> tuple[Tensor, Tensor]:
        """Run one stage (in order) -> (probabilities [A, 1 + C], boxes [A, 4]), valid until the next call."""


class Program(nn.Module):
    """One stage with its decoding, flat in and out: *state -> (*next state, probabilities, boxes)."""

    def __init__(self, stage: nn.Module, decode: nn.Module):
        super().__init__()
        self.stage, self.decode = stage, decode

    def forward(self, *state: Tensor) -> tuple[Tensor, ...]:
        following, raw = self.stage(*state)
        return (*following, *self.decode(*raw))


def refuse_fallback(chain: Chain, candidate: Candidate, runtime: str) -> None:
    """UserError when an int8 candidate has no layer that really runs in int8: it would be fp32 called int8."""
    if candidate.precision == "int8" and not chain.audit["layers_by_precision"].get("i8"):
        raise UserError(
            "no layer runs in int8 on this CPU",
            where=f"{candidate.strategy} on {runtime}",
            fix="this would be fp32 called int8; leave quant out here",
        )


@dataclass(frozen=True)
class Answer:
    """Detections in pixels of the image as given, and which exit (from 0) gave them."""

    detections: Detections
    exit: int


@dataclass
class Deployed:
    """A candidate on a runtime. `calls` counts how often each stage ran: a stage after the exit taken never does."""

    candidate: Candidate
    runtime: str
    chain: Chain
    calls: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.calls = [0] * self.exits

    @property
    def exits(self) -> int:
        return self.candidate.detector.exits

    def walk(self, image: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
        """Stage by stage, each exit's (probabilities [A, 1 + C], boxes [A, 4]), valid until the next one. Stop
        iterating, and the later stages never run. image: uint8 [H, W, 3] RGB."""
        self.chain.start(to_input(image, self.candidate.detector.size))
        for stage in range(self.exits):
            self.calls[stage] += 1
            yield self.chain.step(stage)

    @torch.inference_mode()
    def detect(self, image: np.ndarray, policy: Policy) -> Answer:
        """uint8 [H, W, 3] RGB -> the answer of the first exit that `policy` lets answer; later stages do not run."""
        for exit, (probabilities, boxes) in enumerate(self.walk(image)):
            if exit == self.exits - 1 or policy.answers(exit, probabilities):
                return Answer(self._select(probabilities, boxes, image), exit)
        raise AssertionError("the last exit always answers")

    @torch.inference_mode()
    def every_exit(
        self, image: np.ndarray, watch: Callable[[Tensor], dict[str, float]]
    ) -> list[tuple[Detections, dict]]:
        """The detections of every exit on one image, and what `watch` says of each exit's probabilities."""
        return [
            (self._select(probabilities, boxes, image), watch(probabilities))
            for probabilities, boxes in self.walk(image)
        ]

    def _select(self, probabilities: Tensor, boxes: Tensor, image: np.ndarray) -> Detections:
        height, width = image.shape[:2]
        return self.candidate.detector.select(probabilities, boxes).scaled(width, height)


def runtime_module(name: str) -> Any:
    """The module behind a runtime's name. UserError when unknown, or when its packages are not installed."""
    if name not in RUNTIMES:
        raise unknown("runtime", name, RUNTIMES, where="--runtime")
    try:
        return import_module(f"bench.runtimes.{name}")
    except ImportError as error:
        raise UserError(
            f"runtime {name!r} needs the package {error.name!r}",
            where="--runtime",
            fix=f"pip install 'exitbench[{name}]'",
        ) from error


def check(names: Sequence[str], precisions: set[str]) -> None:
    """UserError unless every runtime is installed and each of `precisions` runs on at least one of them."""
    supported = set().union(*(runtime_module(name).PRECISIONS for name in names))
    if missing := precisions - supported:
        raise UserError(
            f"{' and '.join(map(repr, names))} has no {', '.join(sorted(missing))} kernels",
            where="--runtime",
            fix="use --runtime openvino, or leave the strategy out",
        )


def runs_on(candidate: Candidate, runtime: str) -> bool:
    """Whether the runtime has kernels of the candidate's precision."""
    return candidate.precision in runtime_module(runtime).PRECISIONS


def deploy(candidate: Candidate, runtime: str, *, threads: int, folder: Path) -> Deployed:
    """The candidate on `runtime` with `threads` threads; files that would be shipped are written under `folder`."""
    check([runtime], {candidate.precision})
    candidate.detector.eval()
    chain = runtime_module(runtime).chain(candidate, threads=threads, folder=folder)
    refuse_fallback(chain, candidate, runtime)
    return Deployed(candidate, runtime, chain)
