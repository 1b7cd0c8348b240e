"""Temperature scaling of each exit (Guo et al. 2017), clamped: a runaway temperature makes every score uniform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from models.detector import Detector, Targets
from models.matching import IGNORED, labels_of
from models.scores import SOFTMAX, Scores

CLAMP = (0.25, 4.0)  # as far below 1 as above; sound detectors that had few steps want 0.33 to 0.43


class Labelled(Protocol):
    """Images with ground truth, by index."""

    def __len__(self) -> int: ...

    def image(self, index: int) -> np.ndarray:
        """uint8 [H, W, 3] RGB."""

    def targets(self, indices: Sequence[int]) -> Targets:
        """The ground truth of some images, as a batch."""


def best_temperature(logits: Tensor, labels: Tensor, scores: Scores = SOFTMAX) -> float:
    """The temperature in CLAMP with the smallest negative log-likelihood.

    Args:
        logits: of classes, [n, K].
        labels: int64 [n], 0 for background.
        scores: what the logits mean.
    """
    result = minimize_scalar(
        lambda t: float(scores.log_loss(logits / t, labels)),
        bounds=CLAMP,
        method="bounded",
        options={"xatol": 1e-3},
    )
    return float(np.clip(result.x, *CLAMP))


@torch.no_grad()
def fit_temperatures(detector: Detector, val: Labelled, images: int = 100) -> list[float]:
    """Set every stage's temperature from all anchors of some val images.

    All anchors, background and all: the doubtful ones alone would give a temperature for those alone.

    Args:
        detector: whose temperatures are set.
        val: images that it did not learn from.
        images: how many of these, at most.

    Returns:
        The temperature of every exit.
    """
    detector.eval()
    for stage in detector.stages:
        stage.temperature.fill_(1.0)
    kept: list[tuple[list[Tensor], list[Tensor]]] = [([], []) for _ in detector.stages]
    for index in range(min(images, len(val))):
        targets = val.targets([index])
        answers = detector(detector.to_input(val.image(index)))
        for raw, decode, (kept_logits, kept_labels) in zip(answers, detector.decoders, kept, strict=True):
            owner = decode.owners(raw, targets)
            kept_logits.append(raw[0][owner != IGNORED])
            kept_labels.append(labels_of(owner, targets)[owner != IGNORED])
    temperatures = [best_temperature(torch.cat(logits), torch.cat(labels), detector.scores) for logits, labels in kept]
    for stage, temperature in zip(detector.stages, temperatures, strict=True):
        stage.temperature.fill_(temperature)
    return temperatures
