"""SSDLite with exits after inner trunk blocks, trained in two stages.

First new heads on a frozen trunk, whose maps are computed once; then, if wanted, everything together. Each exit learns
from the baseline and the ground truth, and its temperature is fitted on val. Which exit answers an image is decided
later, by a policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from models.detector import Detector, Raw, State, Targets
from models.errors import UserError
from models.families import require
from models.ssdlite.exit_head import Attention
from models.ssdlite.exits import ClassStage, ContextFor, HeadKind, add_exits, pretrained_modules, trunk_stages
from models.temperature import fit_temperatures
from strategies.base import Candidate, Fit, Images, Score
from strategies.distil import distillation_losses


@dataclass(frozen=True)
class EarlyExit:
    """Gives SSDLite exits after inner blocks, and trains them.

    Args:
        epochs: passes over the training images for the heads on the frozen trunk, at least 0.
        learning_rate: peak AdamW learning rate of the heads, above 0.
        augmentations: how many augmentations of each image the frozen trunk sees, at least 1.
        joint_epochs: passes in which everything is trained together, at least 0.
        joint_learning_rate: peak AdamW learning rate of joint training, above 0.
        pretrained_lr_scale: factor of that rate for the modules that the baseline brings, at least 0; at 0 they are
            frozen.
        after: trunk blocks followed by an exit, 6 to 16, increasing.
        widths: intermediate channels of each exit's head.
        head: "pyramid": separable convolutions over six levels of its own; "light": pointwise ones and pooling.
        attention: of the pyramid head: "se", "cbam" or "none".
        previous_exit_context: which exits read the answer of the exit before: "all", the "inner" ones or "none". A last
            exit that is not trained reads none.
        localise: whether the last exit only classifies the boxes of the one before.
        rescale: whether gradients of the exits are brought into equilibrium in joint training (Li et al. 2019).
        distil: weight of the baseline's answers in the loss (distillation), at least 0; at 0 left out.
        labels: weight of the losses on the ground truth, at least 0; at 0 left out.
        temperatures: whether each exit's temperature is fitted on val.
        criteria: names of the criteria that a policy may use; all of them when none is named.
    """

    family: ClassVar[str] = "ssdlite"

    epochs: int = 0
    learning_rate: float = 2e-3
    augmentations: int = 4
    joint_epochs: int = 5
    joint_learning_rate: float = 2e-3
    pretrained_lr_scale: float = 0.3
    after: tuple[int, ...] = (8, 12)
    widths: tuple[int, ...] = (128, 256)
    head: HeadKind = "pyramid"
    attention: Attention = "se"
    previous_exit_context: ContextFor = "all"
    localise: bool = False
    rescale: bool = False
    distil: float = 0.5
    labels: float = 1.0
    temperatures: bool = True
    criteria: tuple[str, ...] = ()

    def apply(
        self, initial: Candidate, *, fit: Fit, score: Score, train: Images, val: Images, seed: int
    ) -> list[Candidate]:
        """Return one candidate, with an exit after each of the blocks and the last one."""
        require(initial.detector.family, self.family, where="strategy early_exit")
        detector = self.build(initial.detector)
        teacher = initial.detector.clone().eval()  # which may move to where the images are
        pretrained = pretrained_modules(detector)
        options = f"distil {self.distil} labels {self.labels}"
        if self.epochs:
            fit(
                detector,
                name="early_exit-heads",
                objective=self.heads_objective,
                options=options,
                epochs=self.epochs,
                learning_rate=self.learning_rate,
                pretrained_modules=pretrained,
                pretrained_lr_scale=0.0,
                prepare=lambda detector, images: maps_and_goal(detector, teacher, images),
                augmentations=self.augmentations,
            )
        if self.joint_epochs:
            fit(
                detector,
                name="early_exit",
                objective=lambda detector, images, targets: self.joint_objective(detector, teacher, images, targets),
                options=options + (" rescaled" if self.rescale else ""),
                epochs=self.joint_epochs,
                learning_rate=self.joint_learning_rate,
                pretrained_modules=pretrained,
                pretrained_lr_scale=self.pretrained_lr_scale,
            )
        if self.temperatures:
            fit_temperatures(detector, val)
        note = f"exits after blocks {self.after}, heads trained {self.epochs} epochs, all {self.joint_epochs}"
        variant = "b" + "-".join(map(str, self.after))
        made = Candidate("early_exit", variant, detector, criteria=self.criteria, note=note, stopped_name="truncate")
        return [made]

    def build(self, plain: Detector) -> Detector:
        """Return the detector with untrained exits.

        Args:
            plain: SSDLite with one exit.

        Raises:
            UserError: positions or widths that cannot be.
        """
        context = self.previous_exit_context
        if context == "all" and not self.joint_epochs:
            context = "inner"  # the last exit is not trained
        try:
            return add_exits(
                plain,
                self.after,
                self.widths,
                head=self.head,
                attend=self.attention,
                context=context,
                rescale=self.rescale,
                localise=self.localise,
            )
        except ValueError as error:
            raise UserError(str(error), where="strategy early_exit", fix="see docs/strategies.md") from error

    def heads_objective(self, detector: Detector, prepared: tuple[Tensor, ...], targets: Targets) -> dict[str, Tensor]:
        """Return the losses of the inner exits on a frozen trunk.

        Args:
            detector: in training mode.
            prepared: what `maps_and_goal` kept.
            targets: padded ground truth in the unit square.
        """
        *kept, logits, deltas = prepared
        raws = heads_only(detector, kept)
        return self._distilled(detector, raws, (logits, deltas), targets)

    def joint_objective(
        self, detector: Detector, teacher: Detector, images: Tensor, targets: Targets
    ) -> dict[str, Tensor]:
        """Return the losses of all exits when everything is trained.

        Args:
            detector: in training mode.
            teacher: the baseline.
            images: float32 [N, 3, size, size], normalised.
            targets: padded ground truth in the unit square.
        """
        with torch.no_grad():
            (goal,) = teacher.to(images.device)(images)
        return self._distilled(detector, detector(images), goal, targets)

    def _distilled(self, detector: Detector, raws: list[Raw], goal: Raw, targets: Targets) -> dict[str, Tensor]:
        """Every exit weighs alike, and together they weigh as much as one."""
        share = 1 / detector.exits
        goals = [goal] * len(raws)
        return distillation_losses(
            detector, raws, goals, targets, distil=share * self.distil, labels=share * self.labels
        )


def maps_and_goal(detector: Detector, teacher: Detector, images: Tensor) -> tuple[Tensor, ...]:
    """Compute what the heads train on while the trunk is frozen.

    Args:
        detector: with all its exits.
        teacher: the baseline.
        images: float32 [N, 3, size, size], normalised.

    Returns:
        What the trunk hands each inner exit's head, flat, and then the teacher's logits and box code: on a frozen trunk
        these are the last exit's own, unless it only classifies.
    """
    state: Any = (images,)
    kept: list[Tensor] = []
    *inner, last = trunk_stages(detector)
    for stage in inner:
        state = stage.trunk(*state)
        kept += state
    goal = teacher.to(images.device)(images)[0] if isinstance(last, ClassStage) else last.read(last.trunk(*state))[1]
    return (*kept, *goal)


def heads_only(detector: Detector, kept: list[Tensor]) -> list[Raw]:
    """Return the inner exits' raw answers from what `maps_and_goal` kept of the trunk.

    Args:
        detector: with all its exits.
        kept: the trunk's maps, flat.
    """
    raws: list[Raw] = []
    context: State = ()
    for stage in trunk_stages(detector)[:-1]:
        context, raw = stage.read(tuple(kept[: stage.parts]), *context)
        kept = kept[stage.parts :]
        raws.append(raw)
    return raws
