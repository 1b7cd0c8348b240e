"""The same detector at smaller inputs: what a user would try first, since time falls with the square of the side.

Each size starts from the full-size weights, with anchors kept in pixels, and may be fine-tuned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.families import resized
from strategies.base import Candidate, Fit, Images, Score, plain_objective


@dataclass(frozen=True)
class Resize:
    """Makes the detector's input smaller.

    Args:
        epochs: passes over the training images, at least 0; 0 leaves the weights as they are.
        learning_rate: peak AdamW learning rate, above 0.
        scales: share of the input's side that is kept, in (0, 1), one candidate each.
        multiple: sides are rounded to it, px.
    """

    epochs: int = 3
    learning_rate: float = 1e-3
    scales: tuple[float, ...] = (0.8, 0.6)
    multiple: int = 32

    def apply(
        self, initial: Candidate, *, fit: Fit, score: Score, train: Images, val: Images, seed: int
    ) -> list[Candidate]:
        """Return one candidate per scale."""
        made = []
        for size in sides(initial.detector.size, self.scales, self.multiple):
            detector = resized(initial.detector, size)
            fit(
                detector,
                name=f"resize-{size}",
                objective=plain_objective,
                epochs=self.epochs,
                learning_rate=self.learning_rate,
                pretrained_modules=tuple(detector.modules()),
            )
            note = f"at {size} px, fine-tuned {self.epochs} epochs"
            made.append(replace(initial, strategy="resize", variant=f"{size}px", detector=detector, note=note))
        return made


def sides(side: int, scales: Sequence[float], multiple: int) -> tuple[int, ...]:
    """Scale a side, in multiples of so many pixels and at least two of them.

    Args:
        side: of the input, px.
        scales: shares of it.
        multiple: px.
    """
    return tuple(max(2, round(scale * side / multiple)) * multiple for scale in scales)
