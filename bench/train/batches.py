"""Training batches: a split decoded and resized once into memory, then augmented a whole batch at a time.

Images are flipped, cropped, zoomed out and recoloured. Same seed, same batches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bench.parallel import each
from models.detector import Targets
from models.pixels import resize


class Source(Protocol):
    """Labelled images; `bench.data.split.Split` is one."""

    def __len__(self) -> int: ...

    def image(self, index: int) -> NDArray[np.uint8]:
        """One image, uint8 [H, W, 3], RGB."""

    def targets(self, indices: Sequence[int]) -> Targets:
        """Ground truth of the images at these indices, padded to the fullest, boxes in the unit square."""


class Epochs(Protocol):
    """Training images that come in batches, one epoch after the other; `Batches` is one."""

    def __len__(self) -> int: ...

    def epoch(self, batch_size: int, seed: int, size: int | None = None) -> Iterator[tuple[Tensor, Targets]]:
        """The batches of one epoch, as `Batches.epoch` gives them."""


class Batches:
    """A source's images at one input size, in memory, and their augmented batches.

    uint8, about 0.3 MB an image at 320 px.

    Args:
        source: the labelled images.
        size: side of the stored images, in px.
        device: whose memory holds them.
        least: images that an epoch has at least: fewer are gone through several times, each time augmented anew.
    """

    def __init__(self, source: Source, size: int, device: str = "cpu", least: int = 1):
        self.size, self.times = size, max(1, math.ceil(least / len(source)))
        self.images = torch.empty(len(source), 3, size, size, dtype=torch.uint8)
        pixels = self.images.numpy()

        def decode(index: int) -> None:
            pixels[index] = resize(source.image(index), size).transpose(2, 0, 1)

        for _ in each("decoding training images", decode, range(len(source)), torch.get_num_threads()):
            pass
        self.images = self.images.to(device)
        self.targets = source.targets(range(len(source)))

    def __len__(self) -> int:
        """Images of an epoch."""
        return len(self.images) * self.times

    def epoch(self, batch_size: int, seed: int, size: int | None = None) -> Iterator[tuple[Tensor, Targets]]:
        """Shuffled, augmented batches of one epoch. A last batch that would be smaller is left out.

        Args:
            batch_size: images per batch; all of them if there are fewer.
            seed: of the order and the augmentation.
            size: side of the images in px; None: as stored.

        Yields:
            Images, float32 [batch_size, 3, size, size] in [-1, 1] on the images' device, and targets on the CPU.
        """
        generator = torch.Generator().manual_seed(seed)
        order = torch.cat([torch.randperm(len(self.images), generator=generator) for _ in range(self.times)])
        batch_size = min(batch_size, len(self))
        for start in range(0, len(order) - batch_size + 1, batch_size):
            chosen = order[start : start + batch_size]
            yield augment(self.images[chosen], self._targets(chosen), generator, size or self.size)

    def _targets(self, chosen: Tensor) -> Targets:
        labels = self.targets.labels[chosen]
        used = max(1, int((labels > 0).sum(dim=1).max())) if labels.shape[1] else 0
        return Targets(self.targets.boxes[chosen, :used], labels[:, :used], self.targets.crowd[chosen, :used])


def augment(images: Tensor, targets: Targets, generator: torch.Generator, size: int) -> tuple[Tensor, Targets]:
    """Give each image its own window, flip and colours.

    Two thirds of the images are cropped or zoomed out to a window of 0.5 to 1.4 times their side. A box stays while its
    centre is inside the window, clipped to it. Random numbers are drawn on the CPU, so they are the same on every
    device.

    Args:
        images: uint8 [N, 3, S, S].
        targets: of these images, boxes in the unit square.
        generator: of the random numbers, on the CPU.
        size: side of the result in px.

    Returns:
        float32 [N, 3, size, size] in [-1, 1], and the targets that go with them.
    """
    count, device = len(images), images.device

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator) * (high - low) + low

    moved = uniform(0, 1, 1) < 2 / 3
    side = torch.where(moved, uniform(0.5, 1.4, 1) * uniform(0.85, 1.18, 2), torch.ones(count, 2))
    origin = (1 - side) * uniform(0, 1, 2)
    flip = uniform(0, 1) < 0.5

    gain = uniform(0.7, 1.3, 1, 1, 1) * uniform(0.9, 1.1, 3, 1, 1)
    shift = uniform(-0.2, 0.2, 1, 1, 1)
    pixels = images.float().div_(127.5).sub_(1)
    pixels = pixels.mul_(gain.to(device)).add_(shift.to(device)).clamp_(-1, 1)

    sign = torch.where(flip, -1.0, 1.0)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = sign * side[:, 0], side[:, 1]
    theta[:, :, 2] = 2 * origin + side - 1
    grid = F.affine_grid(theta.to(device), [count, 3, size, size], align_corners=False)
    pixels = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    return pixels.contiguous(memory_format=torch.channels_last), _move(targets, origin, side, flip)


def _move(targets: Targets, origin: Tensor, side: Tensor, flip: Tensor) -> Targets:
    offset, scale = origin.repeat(1, 2)[:, None], side.repeat(1, 2)[:, None]
    boxes = (targets.boxes - offset) / scale
    mirrored = torch.stack([1 - boxes[..., 2], boxes[..., 1], 1 - boxes[..., 0], boxes[..., 3]], dim=-1)
    boxes = torch.where(flip[:, None, None], mirrored, boxes)
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    boxes = boxes.clamp(0, 1)
    inside = ((centre > 0) & (centre < 1)).all(-1) & ((boxes[..., 2:] - boxes[..., :2]) > 0.01).all(-1)
    return Targets(boxes, targets.labels * inside, targets.crowd & inside)
