"""A plain shallower network: the trunk up to one block or layer and the head that reads it, trained for itself with the
whole detector as teacher. What early exits have to beat, without sharing anything with them."""

from __future__ import annotations

from dataclasses import dataclass

from models.errors import UserError
from models.families import inspector, shallower, trunk_rates
from strategies.base import Candidate, Fit, Images, Score
from strategies.distil import finetune


@dataclass(frozen=True)
class Truncate:
    """after: trunk blocks or layers to end at, one candidate each; none: two that the family chooses. widths:
    intermediate channels of SSDLite's heads, one per block. distil, labels: weights of the whole detector's answers and
    of the ground truth. inherited_rate: the learning rate of what the whole detector brings, relative to a new head's.
    trunk_rate, decay: as for the baseline."""

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
        cut, unit = shallower(initial.detector), inspector(initial.detector).unit
        places = self.after or cut.usual
        if cut.widths and len(places) != len(self.widths):
            fix = f"give {len(places)} widths"
            raise UserError("every head needs a width", where="strategy truncate", fix=fix)
        made = []
        for number, place in enumerate(places):
            try:
                detector, pretrained = cut.make(initial.detector, place, *([self.widths[number]] if cut.widths else []))
            except ValueError as error:
                raise UserError(str(error), where="strategy truncate", fix="see docs/strategies.md") from error
            finetune(
                detector,
                teacher=initial.detector,
                fit=fit,
                name=f"truncate-{place}",
                epochs=self.epochs,
                learning_rate=self.learning_rate,
                distil=self.distil,
                labels=self.labels,
                pretrained_modules=pretrained,
                pretrained_lr_scale=self.pretrained_lr_scale,
                rates=trunk_rates(detector, self.trunk_lr_scale, self.layer_decay),
            )
            note = f"ends after {unit} {place}, trained {self.epochs} epochs with distillation"
            made.append(Candidate("truncate", f"{unit[0]}{place}", detector, note=note))
        return made
