"""Matching detections with the ground truth, once per exit and area range.

An image's detections match its boxes the same way whatever happens to the other images. So each exit is matched once,
as COCOeval.evaluateImg() does it, and every routing afterwards only picks, image by image, whose matches count
(`bench.accuracy.pool`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import Params

from bench.accuracy.results import columns
from models.compiled import compiled
from models.detector import Detections

THRESHOLDS = Params("bbox").iouThrs  # IoU 0.50:0.05:0.95
AREAS = dict(zip(Params("bbox").areaRngLbl, Params("bbox").areaRng, strict=True))  # px^2, both ends belong to it
PER_IMAGE = 100  # the best detections of an image and class that count
EVERY = 2 ** len(THRESHOLDS) - 1


@dataclass(frozen=True, eq=False)
class Matches:
    """One exit's detections matched with the ground truth of N images (D detections that count, B boxes to find).

    Attributes:
        truth: the ground truth, as given to `match`.
        image_ids: ids of the images, [N]; routings follow their order.
        detections: one entry per image, in the order of `image_ids`.
        categories: class name by category id, ids ascending.
        kind: index of each detection's class among `categories`, int64 [D]. Detections are sorted by class, image and
            descending score.
        image: index of each detection's image among the ascending image ids, int64 [D].
        scores: float64 [D] in [0, 1].
        found: uint16 [D]; bit t says that the detection matches a box at IoU threshold t.
        ignored: uint16 [D]; bit t says that the detection is left out of the count at IoU threshold t.
        wanted: index of class and image of each box to find, sorted by class, int64 [2, B].
        area: the area range, one of AREAS, that `found`, `ignored` and `wanted` are about.
    """

    truth: COCO
    image_ids: tuple[int, ...]
    detections: Sequence[Detections]
    categories: dict[int, str]
    kind: NDArray[np.int64]
    image: NDArray[np.int64]
    scores: NDArray[np.float64]
    found: NDArray[np.uint16]
    ignored: NDArray[np.uint16]
    wanted: NDArray[np.int64]
    area: str


def match(truth: COCO, image_ids: Sequence[int], detections: Sequence[Detections], *, area: str = "all") -> Matches:
    """Match one exit's detections with the ground truth of the same images.

    Args:
        truth: the ground truth as a pycocotools index.
        image_ids: ids of the images, each once.
        detections: one entry per image, in the order of `image_ids`.
        area: area range, a key of AREAS. Boxes outside it need not be found; detections that match them, and detections
            outside it that match nothing, are left out of the count.

    Returns:
        The matches at all IoU thresholds.

    Raises:
        ValueError: an image id is repeated or unknown, or a label is not among the ground truth's categories.
        UserError: a coordinate or score is not finite.
    """
    if len(set(image_ids)) != len(image_ids) or not set(truth.imgs).issuperset(image_ids):
        raise ValueError("image ids must differ from each other and belong to the ground truth")
    place, labels, boxes, scores = columns(image_ids, detections)
    categories = {i: truth.cats[i]["name"] for i in sorted(truth.cats)}
    if strange := set(np.unique(labels).tolist()) - categories.keys():
        raise ValueError(f"labels {sorted(strange)} are not among the categories {list(categories)}")
    cells = len(categories) * len(image_ids)  # a cell is a class on an image
    cell = np.searchsorted(list(categories), labels) * len(image_ids) + np.argsort(np.argsort(image_ids))[place]
    order = np.lexsort((-scores, cell))
    start = np.searchsorted(cell[order], np.arange(cells))
    order = order[np.arange(len(order)) - start[cell[order]] < PER_IMAGE]
    cell, boxes, scores = cell[order], boxes[order], scores[order]
    box_cell, box, crowd, ignore = _boxes(truth, sorted(image_ids), list(categories), area)
    found, ignored = _match(
        boxes, _bounds(cell, cells), box, crowd, ignore, _bounds(box_cell, cells), np.minimum(THRESHOLDS, 1 - 1e-10)
    )
    ignored |= np.where(_outside(boxes[:, 2] * boxes[:, 3], area), EVERY & ~found, 0).astype(np.uint16)
    wanted = np.array(np.divmod(box_cell[~ignore], len(image_ids)))
    kind, image = np.divmod(cell, len(image_ids))
    return Matches(truth, tuple(image_ids), detections, categories, kind, image, scores, found, ignored, wanted, area)


def _boxes(
    truth: COCO, image_ids: list[int], categories: list[int], area: str
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """B boxes by cell, ignored ones last: cell int64 [B], box float64 [B, 4], crowd and ignore bool [B]."""
    place = {category: k for k, category in enumerate(categories)}
    boxes = [(i, box) for i, image in enumerate(image_ids) for box in truth.imgToAnns.get(image, [])]
    boxes = [(i, box) for i, box in boxes if box["category_id"] in place]
    cell = np.array([place[box["category_id"]] * len(image_ids) + i for i, box in boxes], np.int64)
    crowd = np.array([box["iscrowd"] for _, box in boxes], bool)
    ignore = crowd | _outside(np.array([box["area"] for _, box in boxes], np.float64), area)
    order = np.lexsort((ignore, cell))
    xywh = np.array([box["bbox"] for _, box in boxes], np.float64).reshape(-1, 4)
    return cell[order], xywh[order], crowd[order], ignore[order]


def _outside(px: NDArray[np.float64], area: str) -> NDArray[np.bool_]:
    """Which areas, float64 [n] in px^2, lie outside an area range: bool [n]."""
    least, most = AREAS[area]
    return (px < least) | (px > most)


def _bounds(cell: NDArray[np.int64], cells: int) -> NDArray[np.int64]:
    """Where each cell's rows begin in a sorted column, and where the last one's end: int64 [cells + 1]."""
    return np.searchsorted(cell, np.arange(cells + 1))


@compiled
def _match(
    boxes: NDArray[np.float64],
    rows: NDArray[np.int64],
    truth: NDArray[np.float64],
    crowd: NDArray[np.bool_],
    ignore: NDArray[np.bool_],
    truth_rows: NDArray[np.int64],
    thresholds: NDArray[np.float64],
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """COCOeval.evaluateImg() of every cell: found and ignored, uint16 [D], one bit per threshold.

    boxes [D, 4] lie at rows[cell]:rows[cell + 1] by descending score, truth [B, 4] likewise, ignored boxes last.
    """
    found, ignored = np.zeros(len(boxes), np.uint16), np.zeros(len(boxes), np.uint16)
    overlap, matched = np.empty(len(truth)), np.empty((len(thresholds), len(truth)), np.bool_)
    for cell in range(len(rows) - 1):
        first, last = truth_rows[cell], truth_rows[cell + 1]
        matched[:, first:last] = False
        for d in range(rows[cell], rows[cell + 1]):
            for g in range(first, last):
                overlap[g] = iou(boxes[d], truth[g], crowd[g])
            for t in range(len(thresholds)):
                best, at = thresholds[t], -1
                for g in range(first, last):
                    if matched[t, g] and not crowd[g]:
                        continue
                    if at >= 0 and not ignore[at] and ignore[g]:
                        break
                    if overlap[g] >= best:
                        best, at = overlap[g], g
                if at >= 0:
                    matched[t, at] = True
                    bits = ignored if ignore[at] else found
                    bits[d] |= np.uint16(1 << t)
    return found, ignored


@compiled
def iou(box: NDArray[np.float64], truth: NDArray[np.float64], crowd: bool) -> float:
    """Intersection over union of two boxes; over the first box's area when the second is a crowd.

    Args:
        box: x, y, width, height, float64 [4].
        truth: x, y, width, height, float64 [4].
        crowd: whether `truth` is a crowd region.

    Returns:
        The overlap in [0, 1].
    """
    width = min(box[2] + box[0], truth[2] + truth[0]) - max(box[0], truth[0])
    height = min(box[3] + box[1], truth[3] + truth[1]) - max(box[1], truth[1])
    if width <= 0 or height <= 0:
        return 0.0
    both, area = width * height, box[2] * box[3]
    return both / (area if crowd else area + truth[2] * truth[3] - both)
