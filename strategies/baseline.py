"""The detector every other strategy is measured against, loaded from weights or trained from scratch.

One that was loaded is fine-tuned as well, so that no strategy wins merely by having seen the training images. How long
it takes depends on what it starts from, so that there may be a schedule for each start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from models import families
from models.errors import UserError
from models.family import Start
from strategies.base import Candidate, Fit, Images, Score, plain_objective

SCHEDULE = {"options": ("epochs", "learning_rate", "trunk_lr_scale", "layer_decay")}


@dataclass(frozen=True)
class Baseline:
    """Trains the baseline, or keeps it as it is loaded.

    Args:
        epochs: passes over the training images, at least 0; 0 keeps the detector as it is.
        learning_rate: peak AdamW learning rate, above 0.
        trunk_lr_scale: factor of the learning rate for a trunk that was trained before, at least 0; 0: it stays as it
            is, 1: as all else.
        layer_decay: factor of each layer's learning rate from that of the next one, in (0, 1] (layer-wise decay, Clark
            et al. 2020); 1: all layers alike.
        auxiliary_losses: what it learns from beside its exits' losses, by options of its family (of YOLOS:
            `models.yolos.auxiliary`); none: as usual.
        new_classes: options that go before these where the weights have no rows for some of the classes.
        from_scratch: options that go before these where there are no weights.
        start: what it starts from. Where that are weights of a detector, batch-norm statistics stay; where these detect
            all of the classes, the untouched detector is returned too.
    """

    epochs: int = 10
    learning_rate: float = 2e-3
    trunk_lr_scale: float = 1.0
    layer_decay: float = 1.0
    auxiliary_losses: Mapping[str, Any] = field(default_factory=dict)
    new_classes: Mapping[str, Any] = field(default_factory=dict, metadata=SCHEDULE)
    from_scratch: Mapping[str, Any] = field(default_factory=dict, metadata=SCHEDULE)
    start: Start = "scratch"

    def apply(
        self, initial: Candidate, *, fit: Fit, score: Score, train: Images, val: Images, seed: int
    ) -> list[Candidate]:
        """Return [loaded?, trained]: the last one is what other strategies build on."""
        mine = self.scheduled()
        untouched = f"{initial.note.removeprefix('from ')}, untouched"
        loaded = [Candidate("baseline", "loaded", initial.detector, note=untouched)] if self.start == "weights" else []
        if mine.epochs == 0:
            if not loaded:
                fix = "set epochs above 0 for it, or give weights that know all classes"
                what = "a baseline that cannot detect all classes yet has to be trained"
                raise UserError(what, where="strategy baseline", fix=fix)
            return loaded
        detector = initial.detector.clone()
        if mine.auxiliary_losses:
            detector.auxiliary_losses = families.auxiliary_losses(detector, mine.auxiliary_losses)
        inherited = tuple(detector.modules()) if self.start in ("weights", "new classes") else ()
        fit(
            detector,
            name="baseline",
            objective=plain_objective,
            epochs=mine.epochs,
            learning_rate=mine.learning_rate,
            pretrained_modules=inherited,
            options=" ".join(f"{name} {value}" for name, value in sorted(mine.auxiliary_losses.items())),
            rates=families.trunk_rates(detector, mine.trunk_lr_scale, mine.layer_decay),
        )
        variant = "tuned" if self.start == "weights" else "trained"
        note = f"trained {mine.epochs} epochs {initial.note}"
        return [*loaded, Candidate("baseline", variant, detector, note=note)]

    def scheduled(self) -> Baseline:
        """The same under the options of its start."""
        tables: dict[Start, Mapping[str, Any]] = {"new classes": self.new_classes, "scratch": self.from_scratch}
        return replace(self, **tables.get(self.start, {}))
