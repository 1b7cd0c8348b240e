"""The protocol every strategy follows, and the Candidate it returns.

A strategy is handed a `fit` function and the train and val splits. It is never handed the test split, so nothing it
chooses can have seen it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from models.detector import Detector, Raw, Targets

Prepare = Callable[[Detector, Tensor], tuple[Tensor, ...]]
Objective = Callable[[Detector, Any, Targets], dict[str, Tensor]]  # Any: images [N, 3, H, W], or what Prepare gives


class Images(Protocol):
    """What a strategy may do with a split: look at its images and read their ground truth."""

    def __len__(self) -> int: ...

    def image(self, index: int) -> np.ndarray:
        """Return an image as uint8 [H, W, 3] RGB.

        Args:
            index: of the image in the split.
        """

    def targets(self, indices: Sequence[int]) -> Targets:
        """Return padded ground truth in the unit square.

        Args:
            indices: of the images in the split.
        """


class Fit(Protocol):
    """Train on the training split. Resumable, seeded by `name`; returns the detector in eval mode."""

    def __call__(
        self,
        detector: Detector,
        *,
        name: str,
        objective: Objective,
        epochs: int,
        learning_rate: float,
        pretrained_modules: Sequence[nn.Module] = (),
        pretrained_lr_scale: float = 1.0,
        rates: Mapping[str, float] | None = None,
        options: str = "",
        prepare: Prepare | None = None,
        augmentations: int = 1,
    ) -> Detector:
        """Train a detector.

        Args:
            detector: the detector to train, changed in place.
            name: of this training; seeds it.
            objective: the named losses to sum.
            epochs: passes over the training images; 0 trains nothing.
            learning_rate: peak AdamW learning rate.
            pretrained_modules: modules that arrive trained. Their batch norm keeps its statistics, and they learn at
                `pretrained_lr_scale` times the learning rate.
            pretrained_lr_scale: at least 0; at 0 the pretrained modules are frozen.
            rates: further factors of the learning rate, by the beginning of a parameter's name (the longest one that
                fits counts); a factor of 0 freezes.
            options: what decides the objective besides `name`, as text.
            prepare: computes what never changes while training (a frozen trunk's maps, a teacher's answers). It is
                made once for each image under a few augmentations, kept in memory as fp16, and handed to `objective`
                in place of the images.
            augmentations: how many augmentations of each image `prepare` sees, at least 1.

        Returns:
            The detector, in eval mode.
        """


@dataclass(frozen=True)
class Candidate:
    """A detector with its precision and a note of how it was made.

    Args:
        strategy: what made it, by name.
        variant: which of the strategy's candidates it is.
        detector: the detector itself.
        precision: "fp32" or "int8".
        calibration: training images as uint8 [H, W, 3], needed by int8.
        keep: parts of every stage that stay in fp32 when the rest is int8, by the beginning of their module path:
            "head", "blocks.0".
        criteria: names of what may decide whether an exit answers; any criterion when none is named.
        note: how it was made, in words.
        stopped_name: the strategy that it amounts to where every image leaves at one inner exit, as records call it;
            empty: its own.
    """

    strategy: str
    variant: str
    detector: Detector
    precision: str = "fp32"
    calibration: tuple[np.ndarray, ...] = ()
    keep: tuple[str, ...] = ()
    criteria: tuple[str, ...] = ()
    note: str = ""
    stopped_name: str = ""


class Score(Protocol):
    """How good a candidate is, for choosing between ways to go on."""

    def __call__(self, candidate: Candidate) -> float:
        """Measure mAP on val, in [0, 1], at the last exit, on the artifact as it runs on the run's runtime.

        Args:
            candidate: what is measured, on whole images. The test split is never looked at.
        """


class Strategy(Protocol):
    """Takes a trained candidate and returns cheaper ones.

    A strategy is a dataclass; its fields are its options. One that makes others than fp32 says which, so that a run
    without a runtime for them is refused before it starts: `precisions: ClassVar[frozenset[str]]`. One for a single
    family names it: `family: ClassVar[str]`.
    """

    def apply(
        self, initial: Candidate, *, fit: Fit, score: Score, train: Images, val: Images, seed: int
    ) -> list[Candidate]:
        """Make candidates of a candidate.

        Args:
            initial: the trained candidate, which stays as it is.
            fit: trains on the training split.
            score: mAP of a candidate on val.
            train: the training images.
            val: images to choose and to fit temperatures on.
            seed: of whatever is drawn.

        Raises:
            UserError: options that cannot be.
        """


def plain_losses(detector: Detector, raws: list[Raw], targets: Targets) -> dict[str, Tensor]:
    """Return the detector's own losses, exit by exit, under names of their own ("exit1/class", "exit1/box", ...).

    Args:
        detector: whose losses they are.
        raws: every exit's raw answer.
        targets: padded ground truth in the unit square.
    """
    return {
        f"exit{number}/{name}": value
        for number, losses in enumerate(detector.loss(raws, targets), start=1)
        for name, value in losses.items()
    }


def training_losses(detector: Detector, images: Tensor, targets: Targets) -> tuple[list[Raw], dict[str, Tensor]]:
    """Return every exit's raw answer, and all losses that the detector trains by, its auxiliary ones among them.

    Args:
        detector: in training mode.
        images: float32 [N, 3, size, size], normalised.
        targets: padded ground truth in the unit square.
    """
    if detector.auxiliary_losses is not None:
        return detector.auxiliary_losses(detector, images, targets)
    raws = detector(images)
    return raws, plain_losses(detector, raws, targets)


def plain_objective(detector: Detector, images: Tensor, targets: Targets) -> dict[str, Tensor]:
    """Return all losses that the detector trains by (an `Objective`).

    Args:
        detector: in training mode.
        images: float32 [N, 3, size, size], normalised.
        targets: padded ground truth in the unit square.
    """
    return training_losses(detector, images, targets)[1]
