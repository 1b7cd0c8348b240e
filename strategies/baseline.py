"""The detector every other strategy is measured against: loaded from weights or trained from scratch, and, when it was
loaded, fine-tuned as well, so that no strategy wins merely by having seen the training images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models import families
from models.errors import UserError
from strategies.base import Candidate, Fit, Images, Score, plain_objective


@dataclass(frozen=True)
class Baseline:
    """epochs and rate of its training; 0 epochs keep the detector as it is. trunk_rate: what the trunk learns at, times
    the rate, and decay: every layer at so many times the rate of the next one (layer-wise decay, Clark et al. 2020),
    for trunks that were trained before, while queries and heads are new. 1 and 1: everything alike.

    auxiliary_losses: what it learns from beside its exits' losses, by options of its family (`models.yolos.auxiliary`
    for YOLOS); none: as usual. pretrained: the start came with weights: batch-norm statistics stay, and the untouched
    start is returned too.
    """

    epochs: int = 10
    learning_rate: float = 2e-3
    trunk_lr_scale: float = 1.0
    layer_decay: float = 1.0
    auxiliary_losses: Mapping[str, Any] = field(default_factory=dict)
    pretrained: bool = False

    def apply(
        self, initial: Candidate, *, fit: Fit, score: Score, train: Images, val: Images, seed: int
    ) -> list[Candidate]:
        """[loaded?, trained]: the last one is what other strategies build on."""
        loaded = (
            [Candidate("baseline", "loaded", initial.detector, note=f"{initial.note.removeprefix('from ')}, untouched")]
            if self.pretrained
            else []
        )
        if self.epochs == 0:
            if not loaded:
                fix = "set strategy.baseline.epochs, or give weights"
                raise UserError("a baseline without weights has to be trained", where="strategy baseline", fix=fix)
            return loaded
        detector = initial.detector.clone()
        if self.auxiliary_losses:
            detector.auxiliary_losses = families.auxiliary_losses(detector, self.auxiliary_losses)
        inherited = tuple(detector.modules()) if self.pretrained else ()
        fit(
            detector,
            name="baseline",
            objective=plain_objective,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            pretrained_modules=inherited,
            options=" ".join(f"{name} {value}" for name, value in sorted(self.auxiliary_losses.items())),
            rates=families.trunk_rates(detector, self.trunk_lr_scale, self.layer_decay),
        )
        variant, note = "tuned" if self.pretrained else "trained", f"trained {self.epochs} epochs {initial.note}"
        return [*loaded, Candidate("baseline", variant, detector, note=note)]
