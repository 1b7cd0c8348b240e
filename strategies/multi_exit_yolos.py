"""YOLOS with exits after inner layers, trained in two stages.

Every exit starts with a copy of the last one's head. The heads learn on the frozen trunk, whose tokens are computed
once, from the last exit, query by query, and from the ground truth; then, if wanted, everything learns together, lower
layers less. Temperatures are fitted on val.
"""

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
    """Gives YOLOS exits after inner layers, and trains them.

    Args:
        after: layers followed by an exit, increasing.
        keep: share of the patches that each of these exits hands on, in (0, 1], those least sure to be background;
            none: all patches go on.
        epochs: passes over the training images for the heads on the frozen trunk, at least 0.
        learning_rate: peak AdamW learning rate of the heads, above 0.
        augmentations: how many augmentations of each image the frozen trunk sees, at least 1.
        joint_epochs: passes in which everything is trained together, at least 0.
        joint_learning_rate: peak AdamW learning rate of joint training, above 0.
        pretrained_lr_scale: factor of that rate for the modules that the baseline brings, at least 0; at 0 they are
            frozen.
        layer_decay: in joint training, factor of each layer's learning rate from that of the next one, in (0, 1].
        steps: joint training in so many steps that share its epochs, the first of which leave lower layers frozen
            (progressive unfreezing, Howard and Ruder 2018).
        distil: weight of the last exit's answers in the loss (distillation), at least 0; at 0 left out.
        labels: weight of the losses on the ground truth, at least 0; at 0 left out.
        temperatures: whether each exit's temperature is fitted on val.
        criteria: names of the criteria that a policy may use; all of them when none is named.
    """

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
        """Return one candidate, with an exit after each of the layers and the last one."""
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
        """Return the losses of the inner exits on a frozen trunk.

        Args:
            detector: in training mode.
            kept: query tokens [N, Q, hidden] of each exit.
            targets: padded ground truth in the unit square.
        """
        raws = [stage.answer(queries) for stage, queries in zip(stages_of(detector), kept, strict=True)]
        with torch.no_grad():
            logits, boxes = raws[-1]
            goal = logits.detach(), boxes.detach()
        return self._distilled(detector, raws[:-1], goal, targets)

    def joint_objective(self, detector: Detector, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Return the losses of all exits when everything is trained.

        They are what the family learns of patches, of layers on the way and of the last exit, with the inner exits' own
        losses, which go by the same names, under the weights of `_distilled`.

        Args:
            detector: in training mode.
            images: float32 [N, 3, size, size], normalised.
            targets: padded ground truth in the unit square.
        """
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
    """Return what each exit's head is given on a frozen trunk: query tokens [N, Q, hidden], one tensor per exit.

    Args:
        detector: with all its exits.
        images: float32 [N, 3, size, size], normalised.
    """
    kept, x = [], images
    for stage in stages_of(detector):
        *_, tokens = stage.depths(x)
        kept.append(tokens[:, -stage.queries :])
        x, _ = stage.handed_on(tokens)
    return tuple(kept)


def pretrained_modules(detector: Detector) -> tuple[nn.Module, ...]:
    """Return the modules that came trained: all but the inner exits' heads.

    Args:
        detector: with all its exits.
    """
    new = {module for stage in stages_of(detector)[:-1] for module in stage.head.modules()}
    return tuple(module for module in detector.modules() if new.isdisjoint(module.modules()))
