"""What an exit can know of an image at the moment it may answer: its own class probabilities, its detections, and all
that the exit before it knew. Detections cost an NMS, so they are computed only for who asks, inside the timed path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from models.detector import Detections


@dataclass(frozen=True, eq=False)
class View:
    """One exit's view of one image; to be used before its stage runs again.

    probabilities: [1 + C, A], row 0 is background. read: computes the detections. previous: the view of the exit
    before, None at the first.
    """

    probabilities: Tensor
    read: Callable[[], Detections]
    previous: View | None = None

    @cached_property
    def detections(self) -> Detections:
        """What this exit would answer, in pixels of the image as given; computed when first asked for."""
        return self.read()
