"""Learning from a teacher: how far every exit is from the teacher's, plus, as far as wanted, the detector's own losses
on the ground truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from models.detector import Detector, Raw, Targets
from strategies.base import Fit, plain_losses, training_losses


def distillation_losses(
    student: Detector, raws: list[Raw], goals: Sequence[Raw], targets: Targets, *, distil: float, labels: float
) -> dict[str, Tensor]:
    """Losses of a detector's exits, by exit and part: "exit1/distil-class", "exit1/class", ... raws: their answers.
    goals: a teacher's answer for each. distil, labels: weights of these and of the ground truth; at 0 left out."""
    losses: dict[str, Tensor] = {}
    if distil:
        for number, (mine, theirs) in enumerate(zip(raws, goals, strict=True), start=1):
            parts = student.loss.distil(mine, theirs)
            losses |= {f"exit{number}/distil-{part}": distil * value for part, value in parts.items()}
    if labels:
        losses |= {key: labels * loss for key, loss in plain_losses(student, raws, targets).items()}
    return losses


def finetune(
    detector: Detector,
    *,
    teacher: Detector,
    fit: Fit,
    name: str,
    epochs: int,
    learning_rate: float,
    distil: float,
    labels: float,
    pretrained_modules: Sequence[nn.Module] = (),
    pretrained_lr_scale: float = 1.0,
    rates: Mapping[str, float] | None = None,
    forward: Callable[[Detector, Tensor], list[Raw]] | None = None,
) -> None:
    """Train `detector` in place. teacher: with the same anchors and at least as many exits; each exit learns from one
    of the teacher's last, in order; a copy of it does the teaching. distil, labels: weights of the teacher's answers
    and of all that the detector is asked of the ground truth in training. pretrained_modules,
    pretrained_lr_scale, rates: as for `Fit`. forward:
    how the student answers, where it is not as usual; then it is asked for its answers alone."""
    teacher = teacher.clone().eval()

    def answered(student: Detector, images: Tensor, targets: Targets) -> tuple[list[Raw], dict[str, Tensor]]:
        if forward is None and labels:
            return training_losses(student, images, targets)
        raws = student(images) if forward is None else forward(student, images)
        return raws, plain_losses(student, raws, targets) if labels else {}

    def objective(student: Detector, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        raws, losses = answered(student, images, targets)
        with torch.no_grad():
            goals = teacher.to(images.device)(images)
        learned = distillation_losses(student, raws, goals[-len(raws) :], targets, distil=distil, labels=0)
        return learned | {name: labels * loss for name, loss in losses.items()}

    fit(
        detector,
        name=name,
        objective=objective,
        options=f"distil {distil} labels {labels}",
        epochs=epochs,
        learning_rate=learning_rate,
        pretrained_modules=pretrained_modules,
        pretrained_lr_scale=pretrained_lr_scale,
        rates=rates,
    )
