"""The one artifact: a candidate on a runtime, as a chain of one program per stage.

The policy stands between the programs, on the host. Every accuracy and every latency is measured on this object.
Resizing, the criterion and NMS are inside the timed path, and the same code for all runtimes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from bench.exits.policy import Policy
from bench.exits.view import View
from bench.runtimes.registry import runtime_module
from models.detector import Detections, Detector, Stage, State
from models.errors import UserError
from models.pixels import Normalisation, resize
from models.scores import Scores
from strategies.base import Candidate

T = TypeVar("T")


class Chain(Protocol):
    """A candidate's stages as programs of one runtime for batches of one size N."""

    def start(self, pixels: Tensor) -> None:
        """Hand over the images, uint8 [N, size, size, 3]."""

    def step(self, stage: int) -> tuple[Tensor, Tensor]:
        """Run one stage; stages run in order.

        Args:
            stage: from 0.

        Returns:
            Probabilities [N, 1 + C, A] and box code [N, A, 4]. Both are valid until the stage runs again, so that a
            later exit may compare itself with them.
        """

    def state(self, stage: int) -> tuple[Tensor, ...]:
        """What a stage that ran handed to the next one, [N, ...] each; valid until it runs again."""

    def put(self, stage: int, state: Sequence[Tensor]) -> None:
        """Replace what a stage handed to the next one, as if it had run on other images.

        Args:
            stage: from 0, not the last.
            state: no more than N rows each; further rows stay as they are.
        """


class Artifact(Protocol):
    """A candidate as its runtime would ship it.

    Attributes:
        bytes: size of what would be shipped.
        host_threads: how many threads torch may use around the programs.
        audit: facts about it, among them `layers_by_precision`: how many convolutions and matrix products run in which.
    """

    bytes: int
    host_threads: int
    audit: dict[str, Any]

    def chain(self, batch: int) -> Chain:
        """Its stages, ready to run on `batch` images at once; UserError where the runtime does not take so many."""


class Program(nn.Module):
    """One stage, flat in and out: *state -> (*next state, probabilities, box code).

    Args:
        stage: of a detector.
        scores: what its class logits mean.
        normalise: for a stage that takes images, which then come as uint8 [N, size, size, 3]; if it hands its images
            on, it hands on these, a quarter of the bytes. None for a stage that takes another's state.
    """

    def __init__(self, stage: Stage, scores: Scores, normalise: Normalisation | None):
        super().__init__()
        self.stage, self.scores, self.normalise = stage, scores, normalise

    def forward(self, *state: Tensor) -> tuple[Tensor, ...]:
        """The next state, then probabilities [N, 1 + C, A] and box code [N, A, 4]."""
        given = state if self.normalise is None else [self.normalise(*state)]
        following, raw = self.stage(*given)
        if self.normalise is not None:
            following = tuple(state[0] if part is given[0] else part for part in following)
        return (*following, self.scores.probabilities(raw[0]), raw[1])


def programs(detector: Detector, batch: int = 1) -> list[tuple[Program, State]]:
    """A detector's stages as programs in eval mode.

    Args:
        detector: the one to run.
        batch: images in the examples.

    Returns:
        Each program with an example of the state that it takes.
    """
    state: State = (torch.zeros(batch, detector.size, detector.size, 3, dtype=torch.uint8),)
    found = []
    with torch.inference_mode():
        for stage in detector.stages:
            takes_pixels = state[0].dtype == torch.uint8
            program = Program(stage, detector.scores, detector.normalise if takes_pixels else None).eval()
            found.append((program, state))
            state = program(*state)[:-2]
    return found


def write_rows(state: Sequence[Tensor], rows: Sequence[Tensor]) -> None:
    """Write rows [m, ...] into the first m of every part of a state [N, ...], in place."""
    for mine, part in zip(state, rows, strict=True):
        mine[: len(part)].copy_(part)


def audit(layers: dict[str, list[str]]) -> dict[str, Any]:
    """Facts for the record: how many layers run in each precision and, where some run in int8, which do not."""
    found: dict[str, Any] = {"layers_by_precision": {precision: len(names) for precision, names in layers.items()}}
    if "i8" in layers:
        found["layers_kept_in_fp32"] = [name for key, names in layers.items() if key != "i8" for name in names]
    return found


def refuse_fallback(artifact: Artifact, candidate: Candidate, runtime: str) -> None:
    """Refuse an int8 candidate of which no layer really runs in int8: it would be fp32 called int8.

    Args:
        artifact: the candidate as built.
        candidate: what it was built from.
        runtime: by name, for the message.

    Raises:
        UserError: it is such a candidate.
    """
    if candidate.precision == "int8" and not artifact.audit["layers_by_precision"].get("i8"):
        raise UserError(
            "no layer runs in int8 on this CPU",
            where=f"{candidate.strategy} on {runtime}",
            fix=f"this would be fp32 called int8; leave {candidate.strategy} out here",
        )


@dataclass(frozen=True)
class Answer:
    """What an image is answered.

    Attributes:
        detections: in pixels of the image as given.
        exit: which exit gave them, from 0.
    """

    detections: Detections
    exit: int


@dataclass
class Deployed:
    """A candidate on a runtime.

    Attributes:
        candidate: what is deployed.
        runtime: by name.
        artifact: the candidate as its runtime would ship it.
        chain: its stages, for one image at a time.
        calls: how often each stage ran so far; a stage after the exit that was taken never does.
    """

    candidate: Candidate
    runtime: str
    artifact: Artifact
    chain: Chain = field(init=False)
    calls: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.chain = self.artifact.chain(1)
        self.calls = [0] * self.exits

    @property
    def exits(self) -> int:
        """How many exits it has."""
        return self.candidate.detector.exits

    def walk(self, image: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
        """Run an image through the stages; stop iterating, and the later ones never run.

        Args:
            image: uint8 [H, W, 3] RGB.

        Yields:
            Each exit's probabilities [1 + C, A] and box code [A, 4], valid until the next image.
        """
        self.chain.start(torch.from_numpy(resize(image, self.candidate.detector.size))[None])
        for stage in range(self.exits):
            self.calls[stage] += 1
            probabilities, code = self.chain.step(stage)
            yield probabilities[0], code[0]

    def views(self, image: np.ndarray) -> Iterator[View]:
        """As `walk`, but each exit's view of the image."""
        view = None
        for exit, (probabilities, code) in enumerate(self.walk(image)):
            view = self.view(exit, probabilities, code, image, view)
            yield view

    @torch.inference_mode()
    def detect(self, image: np.ndarray, policy: Policy) -> Answer:
        """Detect objects in one image; stages after the exit that answers do not run.

        Args:
            image: uint8 [H, W, 3] RGB.
            policy: says which exit answers.

        Returns:
            The answer of the first exit that the policy lets answer.
        """
        for exit, view in enumerate(self.views(image)):
            if exit == self.exits - 1 or policy.answers(exit, view):
                return Answer(view.detections, exit)
        raise AssertionError("the last exit always answers")

    @torch.inference_mode()
    def every_exit(self, image: np.ndarray, watch: Callable[[View], T]) -> list[T]:
        """Run all exits on one image.

        Args:
            image: uint8 [H, W, 3] RGB.
            watch: called with each exit's view.

        Returns:
            What it says, one entry per exit.
        """
        return [watch(view) for view in self.views(image)]

    def view(self, exit: int, probabilities: Tensor, code: Tensor, image: np.ndarray, previous: View | None) -> View:
        """What an exit can know of an image; its detections are read when they are asked for.

        Args:
            exit: from 0.
            probabilities: [1 + C, A].
            code: box code, [A, 4].
            image: as it was given, uint8 [H, W, 3] RGB.
            previous: the view of the exit before, or None.

        Returns:
            The view.
        """
        return View(probabilities, code, partial(self.read, exit, probabilities, code, image), previous)

    def read(self, exit: int, probabilities: Tensor, code: Tensor, image: np.ndarray) -> Detections:
        """What an exit detects.

        Args:
            exit: from 0.
            probabilities: [1 + C, A].
            code: box code, [A, 4].
            image: as it was given; only its size counts.

        Returns:
            Detections in pixels of that image.
        """
        height, width = image.shape[:2]
        return self.candidate.detector.detections(probabilities, code, exit).scaled(width, height)


def check(names: Sequence[str], precisions: set[str]) -> None:
    """Refuse runtimes that cannot run what they are asked to.

    Args:
        names: of the runtimes.
        precisions: of the candidates, such as {"fp32", "int8"}.

    Raises:
        UserError: a runtime is unknown or not installed, or a precision runs on none of them.
    """
    for name in names:
        getattr(runtime_module(name), "ready", lambda: None)()
    supported = set().union(*(runtime_module(name).PRECISIONS for name in names))
    if missing := precisions - supported:
        raise UserError(
            f"{' and '.join(map(repr, names))} has no {', '.join(sorted(missing))} kernels",
            where="--runtime",
            fix="use --runtime openvino, or leave the strategy out",
        )


def takes_batches(runtime: str) -> bool:
    """Whether the runtime's artifacts make chains for more than one image."""
    return runtime_module(runtime).BATCHES


def runs_on(candidate: Candidate, runtime: str) -> bool:
    """Whether the runtime has kernels of the candidate's precision."""
    return candidate.precision in runtime_module(runtime).PRECISIONS


def deploy(candidate: Candidate, runtime: str, *, threads: int, folder: Path) -> Deployed:
    """Build a candidate for a runtime.

    Args:
        candidate: its detector is put in eval mode.
        runtime: by name.
        threads: of the runtime's programs.
        folder: where the files that would be shipped are written.

    Returns:
        The candidate on the runtime.

    Raises:
        UserError: the runtime cannot run it, or an int8 candidate would run in fp32.
    """
    check([runtime], {candidate.precision})
    candidate.detector.eval()
    artifact = runtime_module(runtime).build(candidate, threads=threads, folder=folder)
    refuse_fallback(artifact, candidate, runtime)
    return Deployed(candidate, runtime, artifact)
