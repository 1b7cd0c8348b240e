"""Meeting the ground truth once per exit and area range. An image's detections match its boxes the same way whatever
happens to the other images, so each exit is matched once, as COCOeval.evaluateImg() does it, and every routing
afterwards only picks, image by image, whose matches count (`bench.accuracy.pool`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from pycocotools.coco import COCO
from pycocotools.cocoeval import Params

from bench.accuracy.results import columns
from models.detector import Detections

THRESHOLDS = Params("bbox").iouThrs  # IoU 0.50:0.05:0.95
AREAS = dict(zip(Params("bbox").areaRngLbl, Params("bbox").areaRng, strict=True))  # px^2, both ends belong to it
PER_IMAGE = 100  # the best detections of an image and class that count
EVERY = 2 ** len(THRESHOLDS) - 1


@dataclass(frozen=True, eq=False)
class Matches:
    """One exit's detections matched with the ground truth of N images.

    truth, image_ids, detections: as given to `match`; routings follow the order of image_ids. categories: id -> class
    name, by ascending id. Of the D detections that count, by class, image and descending score: kind and image, int64
    [D], their places among categories and ascending image ids; scores float64 [D]; found and ignored, uint16 [D], bit t
    says that at IoU threshold t the detection has a box, or is left out of the count. wanted: int64 [2, B], place of
    class and image of the boxes to find, by class. area: which of AREAS found, ignored and wanted are about.
    """

    truth: COCO
    image_ids: tuple[int, ...]
    detections: Sequence[Detections]
    categories: dict[int, str]
    kind: np.ndarray
    image: np.ndarray
    scores: np.ndarray
    found: np.ndarray
    ignored: np.ndarray
    wanted: np.ndarray
    area: str


def match(truth: COCO, image_ids: Sequence[int], detections: Sequence[Detections], *, area: str = "all") -> Matches:
    """Match one exit's detections (one entry per image id) with the ground truth of those images.

    area: a key of AREAS. Boxes outside it need not be found, what is found in them is left out of the count, and so are
    detections outside it that match nothing.

    Raises ValueError for a repeated or unknown image id or a label outside the ground truth's categories, UserError
    for a coordinate or score that is not finite.
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


def _boxes(truth: COCO, image_ids: list[int], categories: list[int], area: str) -> tuple[np.ndarray, ...]:
    """The ground truth of B boxes by cell, those to be ignored last: cell int64 [B], box float64 [B, 4], crowd and
    ignore bool [B]."""
    place = {category: k for k, category in enumerate(categories)}
    boxes = [(i, box) for i, image in enumerate(image_ids) for box in truth.imgToAnns.get(image, [])]
    boxes = [(i, box) for i, box in boxes if box["category_id"] in place]
    cell = np.array([place[box["category_id"]] * len(image_ids) + i for i, box in boxes], np.int64)
    crowd = np.array([box["iscrowd"] for _, box in boxes], bool)
    ignore = crowd | _outside(np.array([box["area"] for _, box in boxes], np.float64), area)
    order = np.lexsort((ignore, cell))
    xywh = np.array([box["bbox"] for _, box in boxes], np.float64).reshape(-1, 4)
    return cell[order], xywh[order], crowd[order], ignore[order]


def _outside(px: np.ndarray, area: str) -> np.ndarray:
    """Which areas, float64 [n] in px^2, lie outside an area range: bool [n]."""
    least, most = AREAS[area]
    return (px < least) | (px > most)


def _bounds(cell: np.ndarray, cells: int) -> np.ndarray:
    """Where each cell's rows begin in a sorted column, and where the last one's end: int64 [cells + 1]."""
    return np.searchsorted(cell, np.arange(cells + 1))


@njit(cache=True)
def _match(
    boxes: np.ndarray,
    rows: np.ndarray,
    truth: np.ndarray,
    crowd: np.ndarray,
    ignore: np.ndarray,
    truth_rows: np.ndarray,
    thresholds: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """COCOeval.evaluateImg() of every cell: found and ignored, uint16 [D], a bit per threshold.

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


@njit(cache=True)
def iou(box: np.ndarray, truth: np.ndarray, crowd: bool) -> float:
    """Intersection over union of two boxes x, y, width, height; over the first one's area when the other is a crowd."""
    width = min(box[2] + box[0], truth[2] + truth[0]) - max(box[0], truth[0])
    height = min(box[3] + box[1], truth[3] + truth[1]) - max(box[1], truth[1])
    if width <= 0 or height <= 0:
        return 0.0
    both, area = width * height, box[2] * box[3]
    return both / (area if crowd else area + truth[2] * truth[3] - both)
