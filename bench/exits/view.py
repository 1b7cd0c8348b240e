"""What an exit can know of an image at the moment it may answer.

Its own class probabilities, its box code, its detections, and all that the exit before it knew. Detections cost an NMS,
so they are computed only when a criterion asks for them, inside the timed path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.exits.features import features
from models.detector import Detections


@dataclass(frozen=True, eq=False)
class View:
    """One exit's view of one image; valid until its stage runs again.

    Attributes:
        probabilities: float32 [1 + C, A], row 0 is background.
        code: boxes as the detector's decoder takes them, float32 [A, 4].
        read: computes the detections.
        previous: the view of the exit before; None at the first exit.
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
    def features(self) -> NDArray[np.float64]:
        """This exit's pooled features (`bench.exits.features`), float64 [F]; computed when first asked for."""
        return features(self.probabilities)
