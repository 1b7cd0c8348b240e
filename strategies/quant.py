"""int8 after training: the candidate is handed on with training images to calibrate on, and the runtime that deploys
it does the quantization with its own kernels (see bench/runtimes)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from strategies.base import Candidate, Fit, Images


@dataclass(frozen=True)
class Quant:
    """images: how many training images the activation ranges are read from."""

    images: int = 300

    def apply(self, start: Candidate, *, fit: Fit, train: Images, val: Images, seed: int) -> list[Candidate]:
        count = min(self.images, len(train))
        chosen = np.random.default_rng(seed).choice(len(train), size=count, replace=False)
        return [
            replace(
                start,
                strategy="quant",
                variant="int8",
                precision="int8",
                calibration=tuple(train.image(int(index)) for index in chosen),
                note=f"post-training int8, calibrated on {count} training images",
            )
        ]
