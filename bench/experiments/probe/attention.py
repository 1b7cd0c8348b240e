"""Whether attention lies on objects, as numbers.

How even is it, and how much of it lies inside object boxes, against their share of the area and against attention that
does not know the image?
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.experiments.probe.result import Focus
from bench.stats import interval, resample
from models.detector import Targets
from models.errors import UserError
from models.patches import centres

FINE = 8  # points along each side of a cell, to see how much of it boxes cover


def covered(targets: Targets, side: int) -> Tensor:
    """Which share of each cell of a square grid lies inside any box, crowds included.

    Args:
        targets: the objects of N images.
        side: of the grid, in cells.

    Returns:
        float32 [N, side, side] in [0, 1].
    """
    point = centres(side * FINE)
    found = torch.zeros(len(targets.labels), len(point))
    for number in range(targets.labels.shape[1]):  # box by box, for points and boxes together are many
        box = targets.boxes[:, number, None]
        inside = ((point > box[..., :2]) & (point < box[..., 2:])).all(-1)
        found[inside & (targets.labels[:, number, None] > 0)] = 1
    return F.avg_pool2d(found.unflatten(1, (1, side * FINE, -1)), FINE)[:, 0]


def entropy(attention: Tensor) -> Tensor:
    """Shannon entropy of attention, as a share of that of even attention.

    Args:
        attention: [N, h, w], summing to 1 per image.

    Returns:
        [N], from 0 (all on one cell) to 1 (even).
    """
    shares = attention.flatten(1)
    return -torch.xlogy(shares, shares).sum(1) / math.log(shares.shape[1])


def focus(attention: Tensor, targets: Targets, resamples: int, seed: int) -> Focus:
    """How much attention lies on objects, over the images that have any.

    The lift is a ratio of means over these images, so that small objects do not decide it; it is 1 for even attention
    whatever the boxes. Objects are often in the middle, so the other images' mean attention has a lift too: a lift
    that says nothing of this image.

    Args:
        attention: [N, h, w], summing to 1 per image.
        targets: the objects of the same images.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        Entropy, shares, lift and its interval.

    Raises:
        UserError: no image has an object.
    """
    boxes = covered(targets, attention.shape[-1])
    some = boxes.flatten(1).any(1)
    if not some.any():
        raise UserError("no object in the images looked at", where="--images", fix="look at more, or choose classes")
    others = (attention.sum(0) - attention) / max(1, len(attention) - 1)
    inside, blind = ((part * boxes).sum((1, 2))[some].double().numpy() for part in (attention, others))
    area = boxes.mean((1, 2))[some].double().numpy()
    draws = resample(len(area), resamples, seed)
    return Focus(
        entropy=min(1.0, float(entropy(attention).mean())),
        inside=min(1.0, float(inside.mean())),
        area=float(area.mean()),
        lift=float(inside.mean() / area.mean()),
        lift_interval=interval(inside[draws].mean(1) / area[draws].mean(1)),
        blind=float(np.mean(blind) / area.mean()),
    )
