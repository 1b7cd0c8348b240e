"""How well one exit did on each image by itself, so that exits can be compared image by image. Average precision is a
number of many images and undefined on one without boxes; F1 is defined on every one."""

from __future__ import annotations

import numpy as np

from bench.accuracy.matching import Matches

SURE = 0.3  # detections below this score are no part of the answer


def f1(matches: Matches) -> np.ndarray:
    """F1 at IoU 0.5 of each image, all classes together: float64 [N] in [0, 1], in the order of `image_ids`.

    Twice the hits over detections scored above SURE plus boxes to find; 1 where there are neither. On an image without
    boxes it is 1 or, with any such detection, 0. Crowd regions and what is found in them count nowhere, as in COCO.
    """
    images = len(matches.image_ids)
    counted = (matches.scores > SURE) & (matches.ignored & 1 == 0)
    hits = np.bincount(matches.image[counted & (matches.found & 1 == 1)], minlength=images)
    members = np.bincount(matches.image[counted], minlength=images) + np.bincount(matches.wanted[1], minlength=images)
    ascending = np.where(members > 0, 2 * hits / np.maximum(members, 1), 1.0)
    return ascending[np.argsort(np.argsort(matches.image_ids))]
