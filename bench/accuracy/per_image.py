"""Accuracy of one exit on each image by itself, so that exits can be compared image by image.

Average precision is a number of many images and undefined on an image without boxes; F1 is defined on every image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.accuracy.matching import Matches

SURE = 0.3  # detections below this score are no part of the answer


def f1(matches: Matches) -> NDArray[np.float64]:
    """F1 of each image at IoU 0.5, all classes together.

    Twice the matched detections, over the detections scored above SURE plus the boxes to find. An image without boxes
    has 1, or 0 if it has any such detection. Crowd regions and detections in them are not counted, as in COCO.

    Args:
        matches: one exit's detections matched with the ground truth of N images.

    Returns:
        float64 [N] in [0, 1], in the order of `matches.image_ids`.
    """
    images = len(matches.image_ids)
    counted = (matches.scores > SURE) & (matches.ignored & 1 == 0)
    hits = np.bincount(matches.image[counted & (matches.found & 1 == 1)], minlength=images)
    members = np.bincount(matches.image[counted], minlength=images) + np.bincount(matches.wanted[1], minlength=images)
    ascending = np.where(members > 0, 2 * hits / np.maximum(members, 1), 1.0)
    return ascending[np.argsort(np.argsort(matches.image_ids))]
