"""The baseline trained on, as it is: what more training alone would have given.

Every strategy that trains has this control to beat.
"""

from __future__ import annotations

from dataclasses import dataclass

from strategies.base import Candidate, Fit, Images, Score, plain_objective


@dataclass(frozen=True)
class Longer:
    """Trains the baseline on.

    Args:
        epochs: passes over the training images: as many as the longest strategy trains.
        learning_rate: peak AdamW learning rate, above 0.
    """

    epochs: int = 4
    learning_rate: float = 1e-3

    def apply(
        self, initial: Candidate, *, fit: Fit, score: Score, train: Images, val: Images, seed: int
    ) -> list[Candidate]:
        """Return one candidate."""
        detector = initial.detector.clone()
        inherited = tuple(detector.modules())
        fit(
            detector,
            name="longer",
            objective=plain_objective,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            pretrained_modules=inherited,
        )
        return [Candidate("longer", f"{self.epochs}-epochs", detector, note="the baseline, trained on")]
