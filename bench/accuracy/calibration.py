"""Does a score say how often it is right? The detection expected calibration error (D-ECE; Küppers et al.,
Multivariate Confidence Calibration for Object Detection, CVPR workshops 2020), of scores alone: where the box lies
makes no difference. It asks the precision of what was answered; boxes that were missed have no score."""

from __future__ import annotations

import numpy as np

from bench.accuracy.matching import Matches

FLOOR = 0.05  # below lie seven detections in ten on photographs, all but never right: they would halve the error
BINS = 15  # of equal width, from FLOOR to 1


def calibration_error(matches: Matches) -> float | None:
    """D-ECE of one exit at IoU 0.5, in [0, 1]: how far mean score and precision are apart in each of BINS bins,
    weighted by the bin's share of the detections. All classes together; None without a detection of FLOOR or more.

    A detection is right when it has a box in COCO's matching, one box to one detection. What is found in crowd regions
    counts nowhere. A temperature moves detections across FLOOR: errors before and after it are not quite about the same
    ones.
    """
    counted = (matches.scores >= FLOOR) & (matches.ignored & 1 == 0)
    scores, right = matches.scores[counted], matches.found[counted] & 1
    if len(scores) == 0:
        return None
    place = np.minimum((scores - FLOOR) / (1 - FLOOR) * BINS, BINS - 1).astype(int)
    gaps = np.bincount(place, scores - right, minlength=BINS)  # of each bin, (mean score - precision) times its size
    return float(np.abs(gaps).sum() / len(scores))
