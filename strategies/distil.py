"""Learning from a teacher (distillation), and, as far as wanted, from the ground truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from models.detector import Detector, Raw, Targets
from strategies.base import Fit, plain_losses, training_losses


def distillation_losses(
    student: Detector, raws: list[Raw], goals: Sequence[Raw], targets: Targets, *, distil: float, labels: float
) -> dict[str, Tensor]:
    """Return the losses of a detector's exits by exit and part: "exit1/distil-class", "exit1/class", ...

    Args:
        student: the detector that learns.
        raws: its exits' raw answers.
        goals: a teacher's raw answer for each of them.
        targets: padded ground truth in the unit square.
        distil: weight of the teacher's answers in the loss (distillation), at least 0; at 0 left out.
        labels: weight of the losses on the ground truth, at least 0; at 0 left out.
    """
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
    """Train a detector in place with a teacher.

    Args:
        detector: what learns.
        teacher: a detector with the same anchors or queries and at least as many exits; each exit learns from one of
            its last, in order. A copy of it does the teaching.
        fit: trains.
        name: of this training.
        epochs: passes over the training images, at least 0; 0 trains nothing.
        learning_rate: peak AdamW learning rate, above 0.
        distil: weight of the teacher's answers, at least 0; at 0 left out.
        labels: weight of all losses that the detector trains by on the ground truth, at least 0; at 0 left out.
        pretrained_modules: as for `Fit`.
        pretrained_lr_scale: as for `Fit`.
        rates: as for `Fit`.
        forward: how the student answers where it is not as usual; then only its exits' own losses count.
    """
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
