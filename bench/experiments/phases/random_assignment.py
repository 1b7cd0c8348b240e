"""The mistake that nine rounds of training shared, kept to be replayed.

Anchors are dealt to objects by chance, wherever either lies, so that nothing in the image tells which anchor is to
answer. Every loss falls nevertheless.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.detector import Targets
from models.matching import BACKGROUND

PER_OBJECT = 10  # anchors that an object is dealt
SHARE = 20  # at most one anchor in so many is dealt at all


def round_robin(anchors: Tensor, targets: Targets) -> Tensor:
    """Deal anchors to objects by chance, in place of `models.matching.match`.

    Of A anchors, min(PER_OBJECT * objects, A // SHARE) are drawn (by torch's global generator), and the image's objects
    take turns in having them. Crowd regions are dealt none.

    Args:
        anchors: float32 [A, 4]; only their number counts.
        targets: the objects of N images.

    Returns:
        For every anchor the index of its object, or BACKGROUND: int64 [N, A].
    """
    count = len(anchors)
    owner = torch.full((len(targets.labels), count), BACKGROUND, device=anchors.device)
    for row, real in zip(owner, (targets.labels > 0) & ~targets.crowd, strict=True):
        objects = real.nonzero()[:, 0]
        dealt = torch.randperm(count)[: min(PER_OBJECT * len(objects), count // SHARE)]
        if len(objects):
            row[dealt] = objects[torch.arange(len(dealt)) % len(objects)]
    return owner
