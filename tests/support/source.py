"""Labelled images in memory, for training tests."""

from __future__ import annotations

import numpy as np
import torch

from models.detector import Targets


class Source:
    def __init__(self, count: int):
        self.count = count

    def __len__(self):
        return self.count

    def image(self, index):
        return np.full((50, 40, 3), index, dtype=np.uint8)

    def targets(self, indices):
        n = len(indices)
        boxes = torch.tensor([[[0.2, 0.2, 0.8, 0.8]]]).repeat(n, 1, 1)
        return Targets(boxes, torch.ones(n, 1, dtype=torch.long), torch.zeros(n, 1, dtype=torch.bool))
