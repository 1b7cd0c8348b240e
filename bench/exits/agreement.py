"""How far two exits say the same of one image, for leaving once an answer has stopped changing: patience (Zhou et al.,
BERT Loses Patience, 2020), carried over from classes to boxes. Compiled, since it is part of the timed call."""

from __future__ import annotations

import numpy as np
from numba import njit

from models.detector import Detections

SURE = 0.3  # detections below this score are no part of what an exit says
SAME = 0.5  # IoU from which two boxes mean the same object


def agreed(one: Detections, other: Detections) -> float:
    """Share, in [0, 1], of two exits' detections scored above SURE that both exits have: twice the pairs over all of
    them; 1 where neither exit sees anything. Boxes in the same unit."""
    (boxes, labels), (others, other_labels) = sure(one), sure(other)
    count = len(boxes) + len(others)
    return 2 * pairs(boxes, labels, others, other_labels, SAME) / count if count else 1.0


def sure(detections: Detections) -> tuple[np.ndarray, np.ndarray]:
    """Boxes [k, 4] and labels [k] of the detections scored above SURE: the first ones, as scores descend."""
    count = int((detections.scores > SURE).sum())
    return detections.boxes[:count], detections.labels[:count]


@njit(cache=True)
def pairs(boxes: np.ndarray, labels: np.ndarray, others: np.ndarray, other_labels: np.ndarray, least: float) -> int:
    """How many of boxes [k, 4] find a partner among others [m, 4] with the same label and an IoU of at least `least`:
    one after the other, each takes the free one that it overlaps most."""
    free = np.ones(len(others), np.bool_)
    found = 0
    for i in range(len(boxes)):
        best, partner = least, -1
        for j in range(len(others)):
            overlap = iou(boxes[i], others[j]) if free[j] and labels[i] == other_labels[j] else 0.0
            if overlap >= best:
                best, partner = overlap, j
        if partner >= 0:
            free[partner] = False
            found += 1
    return found


@njit(cache=True)
def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes [4], x1 y1 x2 y2; 0 where both are empty."""
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    both = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / union if union > 0 else 0.0
