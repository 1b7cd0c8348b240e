"""COCO accuracy of any routing, with pycocotools as the judge of what is reported.

Searches, controls and the bootstrap ask for thousands of routings: `bench.accuracy.pool` gives them the judge's
numbers, up to the order of summation.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bench.accuracy.matching import AREAS, PER_IMAGE, Matches
from bench.accuracy.pool import Metric, pooled
from bench.accuracy.results import coco_results
from bench.stats import resample
from models.errors import UserError

_AT_50, _AT_75 = 0, 5  # places of IoU 0.50 and 0.75 among 0.50:0.05:0.95


@dataclass(frozen=True)
class Accuracy:
    """COCO average precision (AP) in [0, 1], at no more than 100 detections per image and class.

    None where there is no box to find.

    Attributes:
        map: mean over IoU 0.50:0.05:0.95 and classes.
        map50: mean over classes at IoU 0.5.
        map75: mean over classes at IoU 0.75.
        ap_small: AP of boxes below 32^2 px; None also when only the quick numbers were asked for.
        ap_medium: AP of boxes from 32^2 to 96^2 px; None likewise.
        ap_large: AP of boxes above 96^2 px; None likewise.
        per_class: AP over all IoU thresholds by class name.
        per_class50: AP at IoU 0.5 by class name.
    """

    map: float | None
    map50: float | None
    map75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    per_class: dict[str, float | None]
    per_class50: dict[str, float | None]


def ground_truth(coco_dict: Mapping[str, Any]) -> COCO:
    """A COCO ground-truth dict as a pycocotools index; the dict is not changed.

    Args:
        coco_dict: with images, annotations and categories.

    Returns:
        The index.

    Raises:
        UserError: an annotation has id 0, which pycocotools would read as "not matched".
    """
    if any(box["id"] == 0 for box in coco_dict["annotations"]):
        raise UserError("annotation id 0 is reserved by pycocotools", fix="number annotations from 1")
    return _index({**coco_dict, "annotations": [dict(box) for box in coco_dict["annotations"]]})


def accuracy(matches_per_exit: Sequence[Matches], exits: NDArray[np.integer], *, full: bool = True) -> Accuracy:
    """Accuracy of a routing, as reported: by the stock COCOeval.

    Args:
        matches_per_exit: one entry per exit, all of the same N images.
        exits: int [N]; exit `exits[i]` answers image `image_ids[i]`.
        full: whether to ask COCOeval over all area ranges. Without it ap_small, ap_medium and ap_large stay None, and
            the same other numbers come a thousand times faster; `pooled_accuracy` has them all.

    Returns:
        The average precisions.

    Raises:
        ValueError: `exits` is no routing of these images and exits.
    """
    names = matches_per_exit[0].categories.values()
    quick = _quick(matches_per_exit, exits, "all")  # refuses what is no routing
    return _accuracy(names, *_judged(matches_per_exit, exits)) if full else _accuracy(names, quick)


def pooled_accuracy(matches_per_exit: Sequence[Matches], exits: NDArray[np.integer]) -> Accuracy:
    """What `accuracy` reports in full, from the pool alone: equal to COCOeval up to the order of summation.

    The first call matches the exits again in every area range; later calls find that done.

    Args:
        matches_per_exit: one entry per exit, all of the same N images.
        exits: int [N]; exit `exits[i]` answers image `image_ids[i]`.

    Returns:
        The average precisions.
    """
    names = matches_per_exit[0].categories.values()
    return _accuracy(names, *(_quick(matches_per_exit, exits, area) for area in AREAS))


def bootstrap_map(
    matches_per_exit: Sequence[Matches],
    exits: NDArray[np.integer],
    resamples: int,
    seed: int,
    *,
    metric: Metric = "map",
) -> NDArray[np.float64]:
    """Bootstrap replicates of a metric: its value on images drawn with replacement.

    The draws depend on the seed and the number of images alone. So detectors matched on the same image ids see the same
    draws, and their differences are paired (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).

    Args:
        matches_per_exit: one entry per exit, all of the same N images.
        exits: int [N]; exit `exits[i]` answers image `image_ids[i]`.
        resamples: how many draws.
        seed: of the draws.
        metric: "map", "map50" or "map75".

    Returns:
        float64 [resamples] in [0, 1]; nan where a draw has nothing to find.
    """
    times = [np.bincount(draw, minlength=len(exits)) for draw in resample(len(exits), resamples, seed)]
    return pooled(matches_per_exit).map_many(exits, np.array(times), metric=metric)


def _judged(matches: Sequence[Matches], exits: NDArray[np.integer]) -> NDArray[np.float64]:
    """Precision [area, IoU, recall, class] by COCOeval on the composed detections, -1 where undefined."""
    truth, ids = matches[0].truth, matches[0].image_ids
    rows = coco_results(ids, [matches[exit].detections[i] for i, exit in enumerate(exits)])
    with contextlib.redirect_stdout(io.StringIO()):
        found = truth.loadRes(rows) if rows else _index({**truth.dataset, "annotations": []})
        judge = COCOeval(truth, found, "bbox")
        judge.params.imgIds, judge.params.maxDets = [int(i) for i in ids], [PER_IMAGE]
        judge.evaluate()
        judge.accumulate()
    return np.moveaxis(judge.eval["precision"][..., 0], -1, 0)


def _quick(matches: Sequence[Matches], exits: NDArray[np.integer], area: str) -> NDArray[np.float64]:
    """The same in one area range and averaged over recalls, [IoU, 1, class]."""
    return np.nan_to_num(pooled(matches, area).per_class(exits), nan=-1.0).T[:, None]


def _accuracy(names: Iterable[str], *precision: NDArray[np.float64]) -> Accuracy:
    """The means over precision [IoU, recall, class], one per area range or of all areas alone; -1 where undefined."""
    overall, *ranges = precision
    small, medium, large = [_mean(part) for part in ranges] or (None, None, None)
    return Accuracy(
        map=_mean(overall),
        map50=_mean(overall[_AT_50]),
        map75=_mean(overall[_AT_75]),
        ap_small=small,
        ap_medium=medium,
        ap_large=large,
        per_class={name: _mean(overall[:, :, k]) for k, name in enumerate(names)},
        per_class50={name: _mean(overall[_AT_50, :, k]) for k, name in enumerate(names)},
    )


def _index(dataset: dict[str, Any]) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO()
        index.dataset = dataset
        index.createIndex()
    return index


def _mean(precision: NDArray[np.float64]) -> float | None:
    defined = precision[precision > -1]
    return float(np.mean(defined)) if defined.size else None
