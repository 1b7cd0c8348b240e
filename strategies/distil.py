"""Fine-tuning with a teacher: the detector's own losses, plus how far every exit is from the teacher's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.detector import Detector, Targets
from models.losses import distillation
from strategies.base import Fit, plain_losses


def finetune(
    detector: Detector,
    *,
    teacher: Detector,
    fit: Fit,
    name: str,
    epochs: int,
    rate: float,
    distil: float,
    inherited: Sequence[nn.Module] = (),
    inherited_rate: float = 1.0,
) -> None:
    """Train `detector` in place. teacher: with the same anchors and at least as many exits; each exit learns from one
    of the teacher's last, in order. distil: weight of that. inherited, inherited_rate: as for `Fit`."""

    def objective(student: Detector, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        raws = student(images)
        with torch.no_grad():
            goals = teacher.eval()(images)
        pairs = zip(raws, goals[-len(raws) :], strict=True)
        return plain_losses(student, raws, targets) | {
            "distil": distil * sum(distillation(mine, theirs) for mine, theirs in pairs)
        }

    fit(
        detector,
        name=name,
        objective=objective,
        epochs=epochs,
        rate=rate,
        inherited=inherited,
        inherited_rate=inherited_rate,
    )
