"""Calibration: does a score say how often it is right?

The detection expected calibration error (D-ECE; Küppers et al., Multivariate Confidence Calibration for Object
Detection, CVPR workshops 2020), of scores alone: where the box lies makes no difference. It is about the precision of
the detections; boxes that were missed have no score.
"""

from __future__ import annotations

import numpy as np

from bench.accuracy.matching import Matches

FLOOR = 0.05  # below lie seven detections in ten on photographs, all but never right: they would halve the error
BINS = 15  # of equal width, from FLOOR to 1


def calibration_error(matches: Matches) -> float | None:
    """Detection expected calibration error (D-ECE) of one exit at IoU 0.5, all classes together.

    The scores are put into BINS bins. In each, mean score and precision are compared; the absolute difference is
    weighted by the bin's share of the detections. A detection is right when COCO's matching gives it a box, one box to
    one detection. Detections in crowd regions are not counted. A temperature moves detections across FLOOR, so errors
    before and after it are not about exactly the same detections.

    Args:
        matches: the exit's detections matched with the ground truth.

    Returns:
        The error in [0, 1]; None without a detection of score FLOOR or more.
    """
    counted = (matches.scores >= FLOOR) & (matches.ignored & 1 == 0)
    scores, right = matches.scores[counted], matches.found[counted] & 1
    if len(scores) == 0:
        return None
    place = np.minimum((scores - FLOOR) / (1 - FLOOR) * BINS, BINS - 1).astype(int)
    gaps = np.bincount(place, scores - right, minlength=BINS)  # of each bin, (mean score - precision) times its size
    return float(np.abs(gaps).sum() / len(scores))
