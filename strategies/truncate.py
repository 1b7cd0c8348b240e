"""A plain shallower network: the trunk up to one block and the light exit head that reads it, trained for itself with
the whole detector as teacher. What early exits have to beat, without sharing anything with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from models.exits import inherited, truncated
from models.families import require
from strategies.base import Candidate, Fit, Images, Score
from strategies.distil import finetune


@dataclass(frozen=True)
class Truncate:
    """after: trunk blocks to end at, one candidate each. widths: intermediate channels of the head, one per block.
    distil, labels: weights of the whole detector's answers and of the ground truth. inherited_rate: the trunk's
    learning rate relative to the new head's."""

    family: ClassVar[str] = "ssdlite"

    epochs: int = 5
    rate: float = 2e-3
    after: tuple[int, ...] = (8, 12)
    widths: tuple[int, ...] = (128, 256)
    distil: float = 0.5
    labels: float = 1.0
    inherited_rate: float = 0.3

    def apply(
        self, start: Candidate, *, fit: Fit, score: Score, train: Images, val: Images, seed: int
    ) -> list[Candidate]:
        require(start.detector.family, self.family, where="strategy truncate")
        made = []
        for block, width in zip(self.after, self.widths, strict=True):
            detector = truncated(start.detector, block, width)
            finetune(
                detector,
                teacher=start.detector,
                fit=fit,
                name=f"truncate-{block}",
                epochs=self.epochs,
                rate=self.rate,
                distil=self.distil,
                labels=self.labels,
                inherited=inherited(detector),
                inherited_rate=self.inherited_rate,
            )
            note = f"ends after block {block}, trained {self.epochs} epochs with distillation"
            made.append(Candidate("truncate", f"b{block}", detector, note=note))
        return made
