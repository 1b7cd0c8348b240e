"""Anchors and random ground truth that several tests of the SSD parts share."""

import torch

from models.detector import Targets
from models.ssdlite.network import anchor_grid

ANCHORS = anchor_grid(160, 160)


def random_targets(seed: int, images: int, most: int) -> Targets:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(images, most, 2, generator=generator) * 0.8
    side = torch.rand(images, most, 2, generator=generator) * 0.5 + 0.05
    boxes = torch.cat([corner, (corner + side).clamp(max=1)], dim=-1)
    labels = torch.randint(0, 4, (images, most), generator=generator)
    return Targets(boxes, labels, torch.zeros(images, most, dtype=torch.bool))
