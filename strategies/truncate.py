"""A plain shallower network: the trunk up to one block or layer and the head that reads it.

It is trained for itself with the whole detector as teacher: what early exits have to beat, without sharing anything
with them.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.errors import UserError
from models.families import inspector, shallower, trunk_rates
from strategies.base import Candidate, Fit, Images, Score
from strategies.distil import finetune


@dataclass(frozen=True)
class Truncate:
    """Cuts the network short and trains it with the whole one as teacher.

    Args:
        epochs: passes over the training images, at least 0; 0 leaves the new heads untrained.
        learning_rate: peak AdamW learning rate, above 0.
        trunk_lr_scale: factor of the learning rate for a trunk that was trained before, at least 0; 1: as all else.
        layer_decay: factor of each layer's learning rate from that of the next one, in (0, 1] (layer-wise decay, Clark
            et al. 2020); 1: all layers alike.
        after: trunk blocks or layers to end at, one candidate each; none: two that the family chooses.
        widths: intermediate channels of SSDLite's heads, one per block.
        distil: weight of the whole detector's answers in the loss (distillation), at least 0; at 0 left out.
        labels: weight of the losses on the ground truth, at least 0; at 0 left out.
        pretrained_lr_scale: factor of the learning rate for what the whole detector brings, at least 0; at 0 it is
            frozen.
    """

    epochs: int = 5
    learning_rate: float = 2e-3
    trunk_lr_scale: float = 1.0
    layer_decay: float = 1.0
    after: tuple[int, ...] = ()
    widths: tuple[int, ...] = (128, 256)
    distil: float = 0.5
    labels: float = 1.0
    pretrained_lr_scale: float = 0.3

    def apply(
        self, initial: Candidate, *, fit: Fit, score: Score, train: Images, val: Images, seed: int
    ) -> list[Candidate]:
        """Return one candidate per block or layer."""
        cut, unit = shallower(initial.detector), inspector(initial.detector).unit
        ends = self.after or cut.usual
        if cut.widths and len(ends) != len(self.widths):
            fix = f"give {len(ends)} widths"
            raise UserError("every head needs a width", where="strategy truncate", fix=fix)
        made = []
        for number, end in enumerate(ends):
            try:
                detector, pretrained = cut.make(initial.detector, end, *([self.widths[number]] if cut.widths else []))
            except ValueError as error:
                raise UserError(str(error), where="strategy truncate", fix="see docs/strategies.md") from error
            finetune(
                detector,
                teacher=initial.detector,
                fit=fit,
                name=f"truncate-{end}",
                epochs=self.epochs,
                learning_rate=self.learning_rate,
                distil=self.distil,
                labels=self.labels,
                pretrained_modules=pretrained,
                pretrained_lr_scale=self.pretrained_lr_scale,
                rates=trunk_rates(detector, self.trunk_lr_scale, self.layer_decay),
            )
            note = f"ends after {unit} {end}, trained {self.epochs} epochs with distillation"
            made.append(Candidate("truncate", f"{unit[0]}{end}", detector, note=note))
        return made
