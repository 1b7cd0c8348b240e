"""How far two exits agree on one image, for leaving once an answer has stopped changing.

This is patience (Zhou et al., BERT Loses Patience, 2020), carried over from classes to boxes. Compiled, since it is
part of the timed call.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.detector import Detections

SURE = 0.3  # detections below this score are no part of what an exit says
SAME = 0.5  # IoU from which two boxes mean the same object


def agreed(one: Detections, other: Detections) -> float:
    """Share of two exits' confident detections that both exits have: twice the pairs over all of them.

    Args:
        one: detections of one exit, by descending score.
        other: detections of another exit, with boxes in the same unit.

    Returns:
        Share in [0, 1], of the detections scored above SURE; 1 where neither exit has any.
    """
    (boxes, labels), (others, other_labels) = sure(one), sure(other)
    count = len(boxes) + len(others)
    return 2 * pairs(boxes, labels, others, other_labels, SAME) / count if count else 1.0


def sure(detections: Detections) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The detections scored above SURE: the first ones, as scores descend.

    Args:
        detections: by descending score.

    Returns:
        Boxes [k, 4] and labels [k].
    """
    count = int((detections.scores > SURE).sum())
    return detections.boxes[:count], detections.labels[:count]


@compiled
def pairs(
    boxes: NDArray[np.float32],
    labels: NDArray[np.int64],
    others: NDArray[np.float32],
    other_labels: NDArray[np.int64],
    least: float,
) -> int:
    """How many boxes find a partner of the same label.

    One after the other, each takes the free partner that it overlaps most.

    Args:
        boxes: x1, y1, x2, y2, [k, 4].
        labels: of the boxes, [k].
        others: the candidates for a partner, [m, 4].
        other_labels: of the candidates, [m].
        least: smallest IoU of a pair, in [0, 1].

    Returns:
        Number of pairs, at most min(k, m).
    """
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


@compiled
def iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Intersection over union of two boxes.

    Args:
        a: x1, y1, x2, y2, [4].
        b: x1, y1, x2, y2, [4].

    Returns:
        IoU in [0, 1]; 0 where both boxes are empty.
    """
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    both = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / union if union > 0 else 0.0
