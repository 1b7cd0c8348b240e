"""From an image's pixels to what a detector takes.

Inputs are square, and this is the one place that makes them so; each family says how their numbers are scaled.
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from torch import Tensor

cv2.setNumThreads(1)  # one image takes a tenth of a millisecond, and its threads would spin against the runtime's


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """uint8 [H, W, 3] -> uint8 [size, size, 3], bilinear between pixel centres.

    As torchvision's SSDLite resizes, but rounded to whole levels: eight times as fast. Training uses it too.
    """
    return image if image.shape[:2] == (size, size) else cv2.resize(image, (size, size))


class Normalisation(Protocol):
    """How a family wants the numbers of its input; part of what is timed."""

    def __call__(self, pixels: Tensor) -> Tensor:
        """uint8 [N, H, W, 3] RGB -> float32 [N, 3, H, W]."""

    def of_centred(self, images: Tensor) -> Tensor:
        """The same of images that training has augmented, float32 [N, 3, H, W] RGB in [-1, 1]."""


class Centred:
    """Scales to [-1, 1]."""

    def __call__(self, pixels: Tensor) -> Tensor:
        """uint8 [N, H, W, 3] RGB -> float32 [N, 3, H, W] in [-1, 1]."""
        return (pixels.float() / 127.5 - 1.0).permute(0, 3, 1, 2)  # in this order no runtime has to move anything

    def of_centred(self, images: Tensor) -> Tensor:
        """The same images, which are in [-1, 1] already."""
        return images


CENTRED = Centred()
