"""Ground truth drawn at random, crowds and padding included."""

from __future__ import annotations

import torch

from models.detector import Targets


def targets(images: int, most: int, seed: int = 0) -> Targets:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(images, most, 2, generator=generator) * 0.5
    boxes = torch.cat([corner, corner + 0.2 + 0.3 * torch.rand(images, most, 2, generator=generator)], dim=-1)
    labels = torch.randint(0, 2, (images, most), generator=generator)
    crowd = torch.rand(images, most, generator=generator) < 0.2
    return Targets(boxes, labels, crowd)
