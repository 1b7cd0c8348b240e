"""What a detector is here: a chain of stages and one postprocess. A plain detector has one stage and so one exit;
nothing treats it as a special case."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from models.pixels import CENTRED, Normalisation, resize
from models.scores import SOFTMAX, Scores

T = TypeVar("T")

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

    boxes: float32 [N, M, 4], x1 y1 x2 y2 in the unit square. labels: int64 [N, M], 1..C, 0 where padded.
    crowd: bool [N, M], regions that are neither an object to find nor background.
    """

    boxes: Tensor
    labels: Tensor
    crowd: Tensor

    def to(self, device: str | torch.device) -> Targets:
        return Targets(self.boxes.to(device), self.labels.to(device), self.crowd.to(device))


class Stage(Protocol):
    """A stretch of trunk and the exit head that reads it; a module."""

    @property
    def temperature(self) -> Tensor:
        """What the exit's logits are divided by (Guo et al. 2017), a buffer []; 1 until fitted."""

    def __call__(self, *state: Tensor) -> tuple[State, Raw]:
        """The state for the next stage, and what the exit head says before decoding. The first state is `(images,)`;
        the last stage hands nothing on."""

    def answer_layers(self) -> list[nn.Module]:
        """The layers whose output channels mean something outside of them, and so must stay when others are pruned."""


class Decoder(Protocol):
    """Turns box code into boxes; what lies behind a box is an anchor or, where there are none, a query."""

    def __call__(self, code: Tensor, at: Tensor | None = None) -> Tensor:
        """Boxes [..., K, 4], x1 y1 x2 y2 in the unit square, of box code [..., K, 4] of the anchors `at`, int64 [K];
        of all anchors when None."""

    def owners(self, raw: Raw, targets: Targets) -> Tensor:
        """Whose each anchor is, int64 [N, A], as `models.matching` says it."""

    def implausible(self, code: Tensor) -> Tensor:
        """How many times beyond the plausible each box code [..., 4] is, [...]: at most 1 for what a sound detector
        says of an object, much more once a box head has diverged."""


class AuxiliaryLoss(Protocol):
    """Training losses beside those of the exits' answers."""

    def __call__(self, detector: Detector, images: Tensor, targets: Targets) -> tuple[list[Raw], dict[str, Tensor]]:
        """The raw answer of every exit, and named scalar losses, the exits' own among them."""


class Loss(Protocol):
    def __call__(self, raws: list[Raw], targets: Targets) -> list[dict[str, Tensor]]: ...
    def distil(self, student: Raw, teacher: Raw) -> dict[str, Tensor]: ...


def module_list(parts: Sequence[T]) -> Sequence[T]:
    """Modules as a list that their owner registers, still known as what they are."""
    return cast("Sequence[T]", nn.ModuleList(cast("Sequence[nn.Module]", parts)))


class Detector(nn.Module):
    """A chain of stages with one postprocess.

    stages: modules that are each a `Stage`.
    decode: a module that is a `Decoder`. One for all exits, or one for each.
    select: one image's (probabilities [1 + C, A], box code [A, 4], decode) -> Detections in the unit square (NMS or
    DETR-style). Only what it picks is ever decoded.
    loss: (raw of every exit, Targets) -> one dict of named scalar losses per exit; with `distil`, (a student's raw, its
    teacher's) -> the same for one exit.
    classes: names; label i + 1 is classes[i]. size: side of the square input, in pixels.
    family: of networks, by name (`models.families`). scores: what class logits mean. normalise: how the numbers of the
    input are scaled. auxiliary_losses: for families that learn from more than their exits' answers; None: `loss` of
    these.
    """

    stages: Sequence[Stage]
    decoders: Sequence[Decoder]

    def __init__(
        self,
        stages: Sequence[Stage],
        decode: Decoder | Sequence[Decoder],
        select: Callable[[Tensor, Tensor, Any], Detections],
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
        self.decoders = module_list(list(decode) if isinstance(decode, Iterable) else [decode] * len(stages))
        self.select = select
        self.loss = loss
        self.classes = classes
        self.size = size
        self.family = family
        self.scores = scores
        self.normalise = normalise
        self.auxiliary_losses = auxiliary_losses

    @property
    def exits(self) -> int:
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
        """Run stage by stage; stop iterating and the later stages never run. images: [N, 3, size, size] as
        `normalise` gives them."""
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
        """Class probabilities [N, 1 + C, A] of a raw answer, row 0 the background's; whether they sum to one is
        `scores.exclusive`."""
        return self.scores.probabilities(raw[0])

    def detections(self, probabilities: Tensor, code: Tensor, exit: int = 0) -> Detections:
        """What an exit says of one image, in the unit square, of class probabilities [1 + C, A] and box code [A, 4]."""
        return self.select(probabilities, code, self.decoders[exit])

    def clone(self) -> Detector:
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
        said: list[Tensor] = []
        for stage in self.stages:
            state, raw = stage(*state)
            said += self.scores.probabilities(raw[0]), raw[1]
        return tuple(said[:-2]), raw

    def answer_layers(self) -> list[nn.Module]:
        return [layer for stage in self.stages for layer in stage.answer_layers()]


def merged(detector: Detector) -> Detector:
    """The same computation as one stage with one exit: the single graph that a chain of stages is compared with."""
    return detector.with_stages([_Merged(detector.stages, detector.scores)])
