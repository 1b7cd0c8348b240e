"""COCO accuracy of any routing, with pycocotools as the judge of what is reported. Searches, controls and the bootstrap
ask for thousands of routings: `bench.accuracy.pool` gives them the judge's numbers, up to the order of summation."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
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
    """COCO average precision in [0, 1] at no more than 100 detections per image and class; None where there
    is no box to find. map: mean over IoU 0.50:0.05:0.95 and classes. ap_small, ap_medium, ap_large: of boxes
    below 32^2, 32^2 to 96^2 and above 96^2 px, None as well when only the quick numbers were asked for.
    per_class and per_class50: class name -> AP over all IoU, and at IoU 0.5."""

    map: float | None
    map50: float | None
    map75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    per_class: dict[str, float | None]
    per_class50: dict[str, float | None]


def ground_truth(coco_dict: Mapping[str, Any]) -> COCO:
    """A COCO ground-truth dict as a pycocotools index; the dict is left as it was.

    Raises UserError for an annotation with id 0, which pycocotools would read as "not matched".
    """
    if any(box["id"] == 0 for box in coco_dict["annotations"]):
        raise UserError("annotation id 0 is reserved by pycocotools", fix="number annotations from 1")
    return _index({**coco_dict, "annotations": [dict(box) for box in coco_dict["annotations"]]})


def accuracy(matches_per_exit: Sequence[Matches], exits: np.ndarray, *, full: bool = True) -> Accuracy:
    """The accuracy when exit `exits[i]` answers image `image_ids[i]` (int [N]).

    full: by the stock COCOeval, over all area ranges. Without it the ap_* stay None and the same numbers come a
    thousand times faster; `pooled_accuracy` has them all.
    """
    names = matches_per_exit[0].categories.values()
    quick = _quick(matches_per_exit, exits, "all")  # refuses what is no routing
    return _accuracy(names, *_judged(matches_per_exit, exits)) if full else _accuracy(names, quick)


def pooled_accuracy(matches_per_exit: Sequence[Matches], exits: np.ndarray) -> Accuracy:
    """What `accuracy` reports in full, from the pool alone: equal to the judge up to the order of summation.

    The first routing matches the exits anew in every area range; the others find that done.
    """
    names = matches_per_exit[0].categories.values()
    return _accuracy(names, *(_quick(matches_per_exit, exits, area) for area in AREAS))


def bootstrap_map(
    matches_per_exit: Sequence[Matches], exits: np.ndarray, resamples: int, seed: int, *, metric: Metric = "map"
) -> np.ndarray:
    """The metric over images drawn with replacement, float64 [resamples]; nan where a draw has nothing to
    find.

    The draws depend on `seed` and the number of images alone, so detectors matched on the same `image_ids`
    see the same draws and their differences are paired (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993).
    """
    times = [np.bincount(draw, minlength=len(exits)) for draw in resample(len(exits), resamples, seed)]
    return pooled(matches_per_exit).map_many(exits, np.array(times), metric=metric)


def _judged(matches: Sequence[Matches], exits: np.ndarray) -> np.ndarray:
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


def _quick(matches: Sequence[Matches], exits: np.ndarray, area: str) -> np.ndarray:
    """The same in one area range and averaged over recalls, [IoU, 1, class]."""
    return np.nan_to_num(pooled(matches, area).per_class(exits), nan=-1.0).T[:, None]


def _accuracy(names: Iterable[str], *precision: np.ndarray) -> Accuracy:
    """The means over precision [IoU, recall, class], one per area range or of all areas alone; -1 where undefined."""
    overall, *ranges = precision
    return Accuracy(
        _mean(overall),
        _mean(overall[_AT_50]),
        _mean(overall[_AT_75]),
        *([_mean(part) for part in ranges] or [None] * (len(AREAS) - 1)),
        {name: _mean(overall[:, :, k]) for k, name in enumerate(names)},
        {name: _mean(overall[_AT_50, :, k]) for k, name in enumerate(names)},
    )


def _index(dataset: dict[str, Any]) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO()
        index.dataset = dataset
        index.createIndex()
    return index


def _mean(precision: np.ndarray) -> float | None:
    defined = precision[precision > -1]
    return float(np.mean(defined)) if defined.size else None
