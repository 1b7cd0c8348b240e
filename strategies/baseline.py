"""The detector every other strategy is measured against, loaded from weights or trained from scratch.

One that was loaded is fine-tuned as well, so that no strategy wins merely by having seen the training images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models import families
from models.errors import UserError
from strategies.base import Candidate, Fit, Images, Score, plain_objective


@dataclass(frozen=True)
class Baseline:
    """Trains the baseline, or keeps it as it is loaded.

    Args:
        epochs: passes over the training images, at least 0; 0 keeps the detector as it is.
        learning_rate: peak AdamW learning rate, above 0.
        trunk_lr_scale: factor of the learning rate for a trunk that was trained before, at least 0; 1: as all else.
        layer_decay: factor of each layer's learning rate from that of the next one, in (0, 1] (layer-wise decay, Clark
            et al. 2020); 1: all layers alike.
        auxiliary_losses: what it learns from beside its exits' losses, by options of its family (of YOLOS:
            `models.yolos.auxiliary`); none: as usual.
        pretrained: whether it starts from weights that detect: batch-norm statistics stay, and the untouched detector
            is returned too.
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
        """Return [loaded?, trained]: the last one is what other strategies build on."""
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
