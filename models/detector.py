"""A detector is a chain of stages and one postprocess.

A plain detector has one stage and so one exit; nothing treats it as a special case.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from models.pixels import CENTRED, Normalisation, resize
from models.scores import SOFTMAX, Scores

T = TypeVar("T")
D = TypeVar("D", bound="Decoder")

State = tuple[Tensor, ...]
Raw = tuple[Tensor, Tensor]  # class logits [N, A, K], which the detector's scores explain, and box code [N, A, 4]


@dataclass(frozen=True)
class Detections:
    """The answer for one image, sorted by descending score.

    Args:
        boxes: float32 [k, 4], x1 y1 x2 y2.
        scores: float32 [k] in [0, 1].
        labels: int64 [k], 1..C (0 is background).
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def scaled(self, width: float, height: float) -> Detections:
        """The same detections with x multiplied by `width` and y by `height` (unit square to pixels)."""
        factor = np.array([width, height, width, height], np.float32)
        return Detections(self.boxes * factor, self.scores, self.labels)


@dataclass(frozen=True)
class Targets:
    """Ground truth of a batch, padded to the image with most boxes.

    Args:
        boxes: float32 [N, M, 4], x1 y1 x2 y2 in the unit square.
        labels: int64 [N, M], 1..C, 0 where padded.
        crowd: bool [N, M], regions that are neither an object to find nor background.
    """

    boxes: Tensor
    labels: Tensor
    crowd: Tensor

    def to(self, device: str | torch.device) -> Targets:
        """The same on a device."""
        return Targets(self.boxes.to(device), self.labels.to(device), self.crowd.to(device))


class Stage(Protocol):
    """A stretch of trunk and the exit head that reads it; a module."""

    @property
    def temperature(self) -> Tensor:
        """What the exit's logits are divided by (Guo et al. 2017), a buffer []; 1 until fitted."""

    def __call__(self, *state: Tensor) -> tuple[State, Raw]:
        """Run the stage.

        Args:
            *state: what the stage before hands on; of the first stage, the images [N, 3, size, size].

        Returns:
            The state for the next stage, which of the last stage is empty, and the exit's answer before decoding.
        """

    def answer_layers(self) -> list[nn.Module]:
        """The layers whose output channels have a fixed meaning, and so must stay when others are pruned."""


class Decoder(Protocol):
    """Turns box code into boxes; behind a box is an anchor or, where there are none, a query."""

    def __call__(self, code: Tensor, at: Tensor | None = None) -> Tensor:
        """Decode box code.

        Args:
            code: [..., K, 4].
            at: int64 [K], the anchors that the code belongs to; None: all of them.

        Returns:
            [..., K, 4], x1 y1 x2 y2 in the unit square.
        """

    def owners(self, raw: Raw, targets: Targets) -> Tensor:
        """The object of each anchor, int64 [N, A], as `models.matching` numbers them."""

    def implausible(self, code: Tensor) -> Tensor:
        """How many times beyond the plausible each box code [..., 4] is, [...].

        It is at most 1 for objects that a sound detector finds, and much more once a box head has diverged.
        """


class AuxiliaryLoss(Protocol):
    """Training losses beside those of the exits' answers."""

    def __call__(self, detector: Detector, images: Tensor, targets: Targets) -> tuple[list[Raw], dict[str, Tensor]]:
        """The raw answer of every exit, and named scalar losses, the exits' own among them."""


class Loss(Protocol):
    """The losses of a family's exits."""

    def __call__(self, raws: list[Raw], targets: Targets) -> list[dict[str, Tensor]]:
        """One dict of named scalar losses per exit."""

    def distil(self, student: Raw, teacher: Raw) -> dict[str, Tensor]:
        """How far a student exit is from its teacher, as named scalar losses."""


def module_list(parts: Sequence[T]) -> Sequence[T]:
    """Modules as a list that their owner registers (`nn.ModuleList`), typed as what they are."""
    return cast("Sequence[T]", nn.ModuleList(cast("Sequence[nn.Module]", parts)))


class Detector(nn.Module):
    """A chain of stages with one postprocess.

    Args:
        stages: modules that are each a `Stage`.
        decode: a module that is a `Decoder`; one for all exits, or one for each.
        select: one image's (probabilities [1 + C, A], box code [A, 4], decode) -> Detections in the unit square (NMS or
            DETR-style). Only what it picks is ever decoded.
        loss: (raw of every exit, Targets) -> one dict of named scalar losses per exit; with `distil`, (a student's raw,
            its teacher's) -> the same for one exit.
        classes: names; label i + 1 is classes[i].
        size: side of the square input, in pixels.
        family: of networks, by name (`models.families`).
        scores: what class logits mean.
        normalise: how the numbers of the input are scaled.
        auxiliary_losses: for families that learn from more than their exits' answers; None: `loss` of these.
    """

    stages: Sequence[Stage]
    decoders: Sequence[Decoder]

    def __init__(
        self,
        stages: Sequence[Stage],
        decode: D | Sequence[D],
        select: Callable[[Tensor, Tensor, D], Detections],
        loss: Loss,
        classes: tuple[str, ...],
        size: int,
        *,
        family: str,
        scores: Scores = SOFTMAX,
        normalise: Normalisation = CENTRED,
        auxiliary_losses: AuxiliaryLoss | None = None,
    ):
        super().__init__()
        self.stages = module_list(stages)
        each = [decode] * len(stages) if isinstance(decode, nn.Module) else decode
        self.decoders = module_list(cast("Sequence[Decoder]", each))
        self.select: Callable[[Tensor, Tensor, Any], Detections] = select
        self.loss = loss
        self.classes = classes
        self.size = size
        self.family = family
        self.scores = scores
        self.normalise = normalise
        self.auxiliary_losses = auxiliary_losses

    @property
    def exits(self) -> int:
        """How many exits there are."""
        return len(self.stages)

    def with_stages(
        self,
        stages: Sequence[Stage],
        *,
        decode: Decoder | Sequence[Decoder] | None = None,
        loss: Loss | None = None,
    ) -> Detector:
        """A detector of the same family that differs in its stages alone, unless more is given.

        Args:
            stages: of the new detector.
            decode: for all its exits, or one for each; None: this one's last.
            loss: None: this one's.
        """
        return Detector(
            stages,
            self.decoders[-1] if decode is None else decode,
            self.select,
            self.loss if loss is None else loss,
            self.classes,
            self.size,
            family=self.family,
            scores=self.scores,
            normalise=self.normalise,
            auxiliary_losses=self.auxiliary_losses,
        )

    def walk(self, images: Tensor) -> Iterator[Raw]:
        """Yield the raw answer of each exit, stage by stage; stop iterating and the later stages never run.

        Args:
            images: [N, 3, size, size], as `normalise` gives them.
        """
        state: State = (images,)
        for stage in self.stages:
            state, raw = stage(*state)
            yield raw

    def forward(self, images: Tensor) -> list[Raw]:
        """The raw answer of every exit."""
        return list(self.walk(images))

    def to_input(self, image: np.ndarray) -> Tensor:
        """uint8 [H, W, 3] RGB -> float32 [1, 3, size, size], as `walk` takes it."""
        return self.normalise(torch.from_numpy(resize(image, self.size))[None])

    def probabilities(self, raw: Raw) -> Tensor:
        """Class probabilities [N, 1 + C, A] of a raw answer, row 0 the background's.

        Whether they sum to one is `scores.exclusive`.
        """
        return self.scores.probabilities(raw[0])

    def detections(self, probabilities: Tensor, code: Tensor, exit: int = 0) -> Detections:
        """An exit's detections in one image, in the unit square.

        Args:
            probabilities: of the classes, [1 + C, A].
            code: box code [A, 4].
            exit: its index.
        """
        return self.select(probabilities, code, self.decoders[exit])

    def clone(self) -> Detector:
        """A copy that shares no weights."""
        return copy.deepcopy(self)


class _Merged(nn.Module):
    """All stages as one. The earlier exits' answers are handed out as state, so that no compiler drops their heads."""

    stages: Sequence[Stage]

    def __init__(self, stages: Sequence[Stage], scores: Scores):
        super().__init__()
        self.stages, self.scores = stages, scores

    @property
    def temperature(self) -> Tensor:
        return self.stages[-1].temperature

    def forward(self, images: Tensor) -> tuple[State, Raw]:
        state: State = (images,)
        answers: list[Tensor] = []
        for stage in self.stages:
            state, raw = stage(*state)
            answers += self.scores.probabilities(raw[0]), raw[1]
        return tuple(answers[:-2]), raw

    def answer_layers(self) -> list[nn.Module]:
        return [layer for stage in self.stages for layer in stage.answer_layers()]


def merged(detector: Detector) -> Detector:
    """The same computation as one stage with one exit: the single graph that a chain of stages is compared with."""
    return detector.with_stages([_Merged(detector.stages, detector.scores)])
