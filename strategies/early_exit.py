"""SSDLite with exits after inner trunk blocks: all exits are trained together, each also towards the last one, and
each exit's temperature is fitted on val. Which exit answers an image is decided later, by a policy."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from models.detector import Detector, Targets
from models.exit_head import add_exits
from models.losses import distillation
from models.temperature import fit_temperatures
from strategies.base import Candidate, Fit, Images, Score, plain_losses


@dataclass(frozen=True)
class EarlyExit:
    """after: trunk blocks followed by an exit. widths: intermediate channels of each exit head. loss_weights: one per
    exit, the full model last. distil, labels: weights of the last exit's answers and of the ground truth.
    inherited_rate: the learning rate of what the baseline brought, relative to the new heads'; at 0 the baseline is
    frozen, and the last exit stays what it was. criteria: what a policy may look at; all of them when none is named."""

    epochs: int = 5
    rate: float = 2e-3
    after: tuple[int, ...] = (8, 12)
    widths: tuple[int, ...] = (128, 256)
    loss_weights: tuple[float, ...] = (0.3, 0.4, 0.3)
    distil: float = 0.5
    labels: float = 1.0
    inherited_rate: float = 0.3
    criteria: tuple[str, ...] = ()

    def apply(
        self, start: Candidate, *, fit: Fit, score: Score, train: Images, val: Images, seed: int
    ) -> list[Candidate]:
        detector = add_exits(start.detector, self.after, self.widths, context_to_last=self.inherited_rate > 0)
        inherited = tuple(module for stage in detector.stages for module in stage.blocks.modules()) + tuple(
            detector.stages[-1].head.modules()
        )
        fit(
            detector,
            name="early_exit",
            objective=self.objective,
            options=f"weights {self.loss_weights} distil {self.distil} labels {self.labels}",
            epochs=self.epochs,
            rate=self.rate,
            inherited=inherited,
            inherited_rate=self.inherited_rate,
        )
        fit_temperatures(detector, val)
        how = "jointly with the trunk" if self.inherited_rate > 0 else "on a frozen trunk"
        note = f"exits after blocks {self.after}, trained {how} for {self.epochs} epochs"
        variant = "b" + "-".join(map(str, self.after))
        return [Candidate("early_exit", variant, detector, criteria=self.criteria, note=note)]

    def objective(self, detector: Detector, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        raws = detector(images)
        weights = {f"exit{number}": weight for number, weight in enumerate(self.loss_weights, start=1)}
        plain = plain_losses(detector, raws, targets) if self.labels else {}
        losses = {name: self.labels * weights[name.split("/")[0]] * value for name, value in plain.items()}
        *students, teacher = raws
        for number, (student, weight) in enumerate(zip(students, self.loss_weights, strict=False), start=1):
            losses[f"exit{number}/distil"] = self.distil * weight * distillation(student, teacher)
        return losses
