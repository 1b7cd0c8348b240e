"""What an exit can know of an image at the moment it may answer: its own class probabilities, its box code, its
detections, and all that the exit before it knew. Detections cost an NMS, so they are computed only for who asks, inside
the timed path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from bench.exits.features import features
from models.detector import Detections


@dataclass(frozen=True, eq=False)
class View:
    """One exit's view of one image; to be used before its stage runs again.

    probabilities: [1 + C, A], row 0 is background. code: [A, 4], boxes as the detector's decode takes them. read:
    computes the detections. previous: the view of the exit before, None at the first.
    """

    probabilities: Tensor
    code: Tensor
    read: Callable[[], Detections]
    previous: View | None = None

    @property
    def exit(self) -> int:
        """Which exit this is, from 0."""
        return 0 if self.previous is None else self.previous.exit + 1

    @cached_property
    def detections(self) -> Detections:
        """What this exit would answer, in pixels of the image as given; computed when first asked for."""
        return self.read()

    @cached_property
    def features(self) -> np.ndarray:
        """This exit's pooled features (`bench.exits.features`), float64 [F]; computed when first asked for."""
        return features(self.probabilities)
