"""YOLOS with exits after inner layers. Every exit starts with a copy of the last one's head; the heads learn on the
frozen trunk, whose tokens are computed once, from the last exit, query by query, and from the ground truth; then, if
wanted, everything learns together, lower layers less. Temperatures are fitted on val."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from models.detector import Detector, Raw, Targets
from models.errors import UserError
from models.families import require
from models.temperature import fit_temperatures
from models.yolos.network import layer_rates, multi_exit, stages_of
from strategies.base import Candidate, Fit, Images, Score, training_losses
from strategies.distil import distillation_losses


@dataclass(frozen=True)
class MultiExitYolos:
    """after: layers followed by an exit. keep: share of the patches that each of these hands on, those least sure to be
    background; none: all of them.

    epochs, rate, views: of the heads on the frozen trunk, over so many augmentations of each image. joint_epochs,
    joint_learning_rate: of everything together, where pretrained modules learn at `inherited_rate` times the rate, and
    every layer at `decay` times that of the next one; in so many steps that share the epochs, the first of which
    leave lower layers frozen (progressive unfreezing, Howard and Ruder 2018). distil, labels: weights of the last
    exit's answers and of the ground truth. temperatures: whether they are fitted. criteria: what a policy may look
    at; all when none is named."""

    family: ClassVar[str] = "yolos"

    after: tuple[int, ...] = (3, 6, 9)
    keep: tuple[float, ...] = ()
    epochs: int = 10
    learning_rate: float = 1e-3
    augmentations: int = 4
    joint_epochs: int = 0
    joint_learning_rate: float = 5e-4
    pretrained_lr_scale: float = 0.3
    layer_decay: float = 1.0
    steps: int = 1
    distil: float = 1.0
    labels: float = 1.0
    temperatures: bool = True
    criteria: tuple[str, ...] = ()

    def apply(
        self, initial: Candidate, *, fit: Fit, score: Score, train: Images, val: Images, seed: int
    ) -> list[Candidate]:
        require(initial.detector.family, self.family, where="strategy multi_exit_yolos")
        try:
            detector = multi_exit(initial.detector, self.after, self.keep)
        except ValueError as error:
            raise UserError(str(error), where="strategy multi_exit_yolos", fix="see docs/strategies.md") from error
        options = f"distil {self.distil} labels {self.labels}"
        if self.epochs:
            fit(
                detector,
                name="multi_exit_yolos-heads",
                objective=self.heads_objective,
                options=options,
                epochs=self.epochs,
                learning_rate=self.learning_rate,
                pretrained_modules=pretrained_modules(detector),
                pretrained_lr_scale=0.0,
                prepare=queries_of_exits,
                augmentations=self.augmentations,
            )
        for step in range(1, self.steps + 1 if self.joint_epochs else 1):
            fit(
                detector,
                name="multi_exit_yolos" + (f"-step{step}" if self.steps > 1 else ""),
                objective=self.joint_objective,
                options=options,
                epochs=-(-self.joint_epochs // self.steps),
                learning_rate=self.joint_learning_rate,
                pretrained_modules=pretrained_modules(detector),
                pretrained_lr_scale=self.pretrained_lr_scale,
                rates=layer_rates(detector, self.layer_decay, step / self.steps),
            )
        if self.temperatures:
            fit_temperatures(detector, val)
        note = f"exits after layers {self.after}, heads trained {self.epochs} epochs, all {self.joint_epochs}"
        variant = "l" + "-".join(map(str, self.after))
        if self.keep:
            note += f"; of the patches {', '.join(f'{share:.0%}' for share in self.keep)} go on"
            variant += "-keep" + "-".join(f"{100 * share:.0f}" for share in self.keep)
        made = Candidate(
            "multi_exit_yolos", variant, detector, criteria=self.criteria, note=note, stopped_name="truncate"
        )
        return [made]

    def heads_objective(self, detector: Detector, kept: tuple[Tensor, ...], targets: Targets) -> dict[str, Tensor]:
        raws = [stage.answer(queries) for stage, queries in zip(stages_of(detector), kept, strict=True)]
        with torch.no_grad():
            logits, boxes = raws[-1]
            goal = logits.detach(), boxes.detach()
        return self._distilled(detector, raws[:-1], goal, targets)

    def joint_objective(self, detector: Detector, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        """What the family learns of patches, of layers on the way and of the last exit; the inner exits' own losses
        under the weights of `_distilled`, which go by the same names."""
        raws, losses = training_losses(detector, images, targets)
        return losses | self._distilled(detector, raws[:-1], raws[-1], targets)

    def _distilled(self, detector: Detector, raws: list[Raw], goal: Raw, targets: Targets) -> dict[str, Tensor]:
        """Every exit weighs alike, and together they weigh as much as one."""
        share = 1 / len(raws)
        goals = [goal] * len(raws)
        return distillation_losses(
            detector, raws, goals, targets, distil=share * self.distil, labels=share * self.labels
        )


def queries_of_exits(detector: Detector, images: Tensor) -> tuple[Tensor, ...]:
    """What each exit's head is given on a frozen trunk: query tokens [N, Q, hidden], one tensor an exit."""
    kept, x = [], images
    for stage in stages_of(detector):
        *_, tokens = stage.depths(x)
        kept.append(tokens[:, -stage.queries :])
        x, _ = stage.handed_on(tokens)
    return tuple(kept)


def pretrained_modules(detector: Detector) -> tuple[nn.Module, ...]:
    """The modules that came trained: all but the inner exits' heads."""
    new = {module for stage in stages_of(detector)[:-1] for module in stage.head.modules()}
    return tuple(module for module in detector.modules() if new.isdisjoint(module.modules()))
