"""A tiny family of another kind than ours: sigmoid scores without a background, pixels in [0, 1] with blue first, and
two exits that answer for each cell of a grid."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.detector import Detections, Detector, Raw, State, Targets
from models.family import Family
from models.matching import IGNORED, boxes_of, labels_of
from models.nms import best_of_each
from models.patches import centres, nearest_inside
from models.scores import SIGMOID
from models.set_loss import UnitBoxes, centred

CELL = 16  # px


class BlueFirst:
    """uint8 RGB -> BGR in [0, 1]."""

    def __call__(self, pixels: Tensor) -> Tensor:
        return pixels.float().flip(-1).permute(0, 3, 1, 2) / 255

    def of_centred(self, images: Tensor) -> Tensor:
        return (images.flip(1) + 1) / 2


class CellBoxes(UnitBoxes):
    """Centre and size of one box per cell."""

    def owners(self, raw: Raw, targets: Targets) -> Tensor:
        side = int(raw[0].shape[1] ** 0.5)
        return nearest_inside(centres(side), side, targets)


class CellStage(nn.Module):
    """A convolution, and what each cell of its map says."""

    def __init__(self, channels: int, stride: int, classes: int, last: bool):
        super().__init__()
        self.trunk = nn.Conv2d(channels, 8, 3, stride, 1)
        self.answer = nn.Conv2d(8, classes + 4, 1)
        self.classes, self.last = classes, last
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, x: Tensor) -> tuple[State, Raw]:
        x = self.trunk(x).relu()
        said = self.answer(x).flatten(2).transpose(1, 2)
        logits, code = said[..., : self.classes], said[..., self.classes :].sigmoid()
        return () if self.last else (x,), (logits / self.temperature, code)

    def answer_layers(self) -> list[nn.Module]:
        return [self.answer]


class CellLoss(nn.Module):
    """Every cell's answers alone, binary cross-entropy, and L1 of boxes."""

    def forward(self, raws: list[Raw], targets: Targets) -> list[dict[str, Tensor]]:
        return [self._one(raw, CellBoxes().owners(raw, targets), targets) for raw in raws]

    def _one(self, raw: Raw, owner: Tensor, targets: Targets) -> dict[str, Tensor]:
        logits, code = raw
        labels = labels_of(owner, targets)
        wanted = F.one_hot(labels, 1 + logits.shape[-1])[..., 1:].float()
        entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(-1)
        away = (code[owner >= 0] - centred(boxes_of(owner, targets))).abs().sum()
        return {"class": (entropy * (owner != IGNORED)).mean(), "box": away / (owner >= 0).sum().clamp(min=1)}

    def distil(self, student: Raw, teacher: Raw) -> dict[str, Tensor]:
        return {"class": F.mse_loss(student[0], teacher[0].detach())}


def select(probabilities: Tensor, code: Tensor, decode: CellBoxes) -> Detections:
    """Every cell's best class."""
    return Detections(*best_of_each(probabilities.numpy(), code.numpy(), 0.01, 0.7))


def build(classes: tuple[str, ...], size: int, weights: str | None = None, queries: int | None = None) -> Detector:
    """Two exits, untrained."""
    stages = [CellStage(3, CELL, len(classes), last=False), CellStage(8, 1, len(classes), last=True)]
    return Detector(
        stages, CellBoxes(), select, CellLoss(), classes, size, family="cells", scores=SIGMOID, normalise=BlueFirst()
    )


FAMILY = Family(
    name="cells",
    title="Cells",
    models={"cells": build},
    check=lambda model, size, weights, queries: None,
    weights="leave them out",
    fresh=lambda weights, classes: classes,
    exits=(),
)
