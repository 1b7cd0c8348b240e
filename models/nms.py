"""SSD's postprocess (Liu et al. 2016), compiled: from an exit's class probabilities and box code to its detections.

It is part of every timed call, and as a dozen small tensor operations it took three times as long.
"""

from __future__ import annotations

import numpy as np

from models.compiled import compiled


@compiled
def postprocess(
    probabilities: np.ndarray,
    code: np.ndarray,
    centre: np.ndarray,
    extent: np.ndarray,
    weights: np.ndarray,
    floor: float,
    nms_iou: float,
    candidates: int,
    most: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The detections of one image.

    Per class the best scores are decoded and suppressed where they overlap better ones; then the best over all classes
    stay. Equal scores stay in the order of classes and anchors.

    Args:
        probabilities: float32 [1 + C, A], background first.
        code: float32 [A, 4], relative to the anchors and multiplied by `weights`.
        centre: of the anchors, float32 [A, 2].
        extent: of the anchors, float32 [A, 2].
        weights: of the box code, float32 [4].
        floor: scores up to it are dropped.
        nms_iou: boxes of one class that overlap a better one by more than this IoU are dropped.
        candidates: how many scores per class are decoded.
        most: how many detections stay over all classes.

    Returns:
        Boxes float32 [k, 4] as x1 y1 x2 y2 clipped to the unit square, scores float32 [k] and labels int64 [k], by
        descending score.
    """
    classes = probabilities.shape[0] - 1
    room = min(candidates, probabilities.shape[1])
    boxes = np.empty((classes * room, 4), np.float32)
    scores = np.empty(classes * room, np.float32)
    labels = np.empty(classes * room, np.int64)
    found = 0
    for label in range(1, classes + 1):
        at = best(probabilities[label], floor, candidates)
        decoded = decode(code, centre, extent, weights, at)
        kept = suppress(decoded, nms_iou)
        for k in range(len(at)):
            if kept[k]:
                boxes[found], scores[found], labels[found] = decoded[k], probabilities[label, at[k]], label
                found += 1
    order = np.argsort(-scores[:found], kind="mergesort")[:most]
    return boxes[order], scores[order], labels[order]


@compiled
def best(scores: np.ndarray, floor: float, count: int) -> np.ndarray:
    """Where the `count` highest scores above `floor` are, the highest first; int64 [k]."""
    above = np.flatnonzero(scores > np.float32(floor))
    values = scores[above]
    if len(above) > count:
        least = np.partition(values, len(values) - count)[len(values) - count]
        spare = count - np.sum(values > least)  # how many of those equal to the least one have a place
        chosen = np.empty(count, np.int64)
        n = 0
        for k in range(len(above)):
            if values[k] > least or (values[k] == least and spare > 0):
                spare -= values[k] == least
                chosen[n] = above[k]
                n += 1
        above, values = chosen, scores[chosen]
    return above[np.argsort(-values, kind="mergesort")]


@compiled
def decode(code: np.ndarray, centre: np.ndarray, extent: np.ndarray, weights: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Boxes [k, 4] of the anchors `at` [k], clipped to the unit square. See `models.ssdlite.network.AnchorBoxes`."""
    boxes = np.empty((len(at), 4), np.float32)
    one, zero, half, most = np.float32(1), np.float32(0), np.float32(0.5), np.float32(np.log(1000.0 / 16))
    for k in range(len(at)):
        i = at[k]
        for axis in range(2):
            middle = code[i, axis] / weights[axis] * extent[i, axis] + centre[i, axis]
            stretch = np.exp(min(code[i, 2 + axis] / weights[2 + axis], most))
            reach = stretch * extent[i, axis] * half
            boxes[k, axis] = min(max(middle - reach, zero), one)
            boxes[k, 2 + axis] = min(max(middle + reach, zero), one)
    return boxes


@compiled
def suppress(boxes: np.ndarray, nms_iou: float) -> np.ndarray:
    """Greedy non-maximum suppression of boxes [k, 4] in order: bool [k], those that stay."""
    count, limit = len(boxes), np.float32(nms_iou)
    x1, y1, x2, y2 = boxes[:, 0].copy(), boxes[:, 1].copy(), boxes[:, 2].copy(), boxes[:, 3].copy()
    area = (x2 - x1) * (y2 - y1)
    kept = np.ones(count, np.bool_)
    for i in range(count):
        if not kept[i]:
            continue
        for j in range(i + 1, count):
            width = max(min(x2[i], x2[j]) - max(x1[i], x1[j]), np.float32(0))
            height = max(min(y2[i], y2[j]) - max(y1[i], y1[j]), np.float32(0))
            both = width * height
            if both > limit * (area[i] + area[j] - both):
                kept[j] = False
    return kept


@compiled
def best_of_each(
    probabilities: np.ndarray, boxes: np.ndarray, floor: float, nms_iou: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every query's best class, without what overlaps a better one of its class.

    Args:
        probabilities: float32 [1 + C, Q], background first.
        boxes: float32 [Q, 4], centre and size in the unit square.
        floor: scores up to it are dropped.
        nms_iou: boxes of one class that overlap a better one by more than this IoU are dropped.

    Returns:
        As `postprocess`.
    """
    classes, queries = probabilities.shape[0] - 1, probabilities.shape[1]
    scores, labels = np.zeros(queries, np.float32), np.zeros(queries, np.int64)
    for query in range(queries):
        for label in range(1, classes + 1):
            if probabilities[label, query] > scores[query]:
                scores[query], labels[query] = probabilities[label, query], label
    at = best(scores, floor, queries)
    corners = np.empty((len(at), 4), np.float32)
    one, zero, half = np.float32(1), np.float32(0), np.float32(0.5)
    for k in range(len(at)):
        for axis in range(2):
            middle, reach = boxes[at[k], axis], boxes[at[k], 2 + axis] * half
            corners[k, axis] = min(max(middle - reach, zero), one)
            corners[k, 2 + axis] = min(max(middle + reach, zero), one)
    kept = np.ones(len(at), np.bool_)
    for label in range(1, classes + 1):
        mine = np.flatnonzero(labels[at] == label)
        kept[mine] = suppress(corners[mine], nms_iou)
    return corners[kept], scores[at][kept], labels[at][kept]
