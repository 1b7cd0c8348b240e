"""Temperature scaling of each exit (Guo et al. 2017), clamped: a runaway temperature makes every score uniform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor

from models.detector import Detector, Targets, to_input
from models.matching import IGNORED, match

CLAMP = (0.5, 3.0)


class Labelled(Protocol):
    def __len__(self) -> int: ...
    def image(self, index: int) -> np.ndarray: ...
    def targets(self, indices: Sequence[int]) -> Targets: ...


def best_temperature(logits: Tensor, labels: Tensor) -> float:
    """The T in CLAMP with the smallest negative log-likelihood of labels int64 [n] under softmax(logits [n, K] / T)."""
    result = minimize_scalar(
        lambda t: float(F.cross_entropy(logits / t, labels)),
        bounds=CLAMP,
        method="bounded",
        options={"xatol": 1e-3},
    )
    return float(np.clip(result.x, *CLAMP))


@torch.no_grad()
def fit_temperatures(detector: Detector, val: Labelled, batch: int = 16, background: int = 20) -> list[float]:
    """Set every stage's temperature from matched anchors of `val`; returns them.

    Anchors that hold an object and, per image, the `background` anchors nearest to being one at each exit: the millions
    of plain background anchors would drown the rest.
    """
    detector.eval()
    for stage in detector.stages:
        stage.temperature.fill_(1.0)
    seen: list[tuple[list[Tensor], list[Tensor]]] = [([], []) for _ in detector.stages]
    for start in range(0, len(val), batch):
        indices = range(start, min(start + batch, len(val)))
        images = torch.cat([to_input(val.image(i), detector.size) for i in indices])
        targets = val.targets(indices)
        owner = match(detector.loss.anchors, targets)
        labels = targets.labels.gather(1, owner.clamp(min=0)) * (owner >= 0) if targets.labels.shape[1] else owner * 0
        for (logits, _), (kept_logits, kept_labels) in zip(detector(images), seen, strict=True):
            doubt = (-logits.log_softmax(-1)[..., 0]).masked_fill((owner >= 0) | (owner == IGNORED), -1.0)
            nearest = torch.zeros_like(owner, dtype=torch.bool).scatter(1, doubt.topk(background, 1).indices, True)
            chosen = (owner >= 0) | (nearest & (doubt >= 0))
            kept_logits.append(logits[chosen])
            kept_labels.append(labels[chosen])
    temperatures = [best_temperature(torch.cat(logits), torch.cat(labels)) for logits, labels in seen]
    for stage, temperature in zip(detector.stages, temperatures, strict=True):
        stage.temperature.fill_(temperature)
    return temperatures
