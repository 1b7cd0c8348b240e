"""COCO accuracy of any routing, with pycocotools as the judge. An image's detections meet its ground truth
the same way whatever happens to the other images, so every exit is matched once (`match`) and each routing
afterwards only picks, image by image, whose matches count (`accuracy`). The numbers are those of the stock
COCOeval on the composed detections, bit for bit."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bench.measure.pool import Pool
from bench.measure.results import coco_results
from bench.stats import resample
from models.detector import Detections
from models.errors import UserError

AREAS = ("all", "small", "medium", "large")
_AT_50, _AT_75 = 0, 5  # places of IoU 0.50 and 0.75 among 0.50:0.05:0.95


@dataclass(frozen=True, eq=False)
class Matches:
    """One exit's detections matched with the ground truth.

    image_ids: as given to `match`; routings follow this order. order: int [N], their positions by ascending
    id. categories: id -> class name, by ascending id. results: [class][area range][image by ascending id],
    what COCOeval.evaluate() found there: scores, matches and ignore flags, or None without boxes and
    detections.
    """

    image_ids: tuple[int, ...]
    order: np.ndarray
    categories: dict[int, str]
    results: list[list[list[dict[str, np.ndarray] | None]]]


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


def match(truth: COCO, image_ids: Sequence[int], detections: Sequence[Detections]) -> Matches:
    """Match one exit's detections (one entry per image id) with the ground truth of those images.

    Runs COCOeval.evaluate() once: all classes, the four COCO area ranges, 100 detections per image and class.
    Raises ValueError for a repeated or unknown image id or a label outside the ground truth's categories.
    """
    known = set(truth.getImgIds())
    if len(set(image_ids)) != len(image_ids) or not known.issuperset(image_ids):
        raise ValueError("image ids must differ from each other and belong to the ground truth")
    rows = coco_results(image_ids, detections)
    categories = {i: truth.cats[i]["name"] for i in sorted(truth.cats)}
    if strange := {row["category_id"] for row in rows} - categories.keys():
        raise ValueError(f"labels {sorted(strange)} are not among the categories {list(categories)}")
    with contextlib.redirect_stdout(io.StringIO()):
        found = truth.loadRes(rows) if rows else _index({**truth.dataset, "annotations": []})
        judge = COCOeval(truth, found, "bbox")
        judge.params.imgIds = [int(i) for i in image_ids]
        judge.evaluate()
    slim = np.array([_slim(result) for result in judge.evalImgs], dtype=object)
    results = slim.reshape(len(categories), len(AREAS), len(image_ids)).tolist()
    return Matches(tuple(image_ids), np.argsort(image_ids), categories, results)


def accuracy(
    matches_per_exit: Sequence[Matches],
    exits: np.ndarray,
    images: np.ndarray | None = None,
    *,
    full: bool = True,
) -> Accuracy:
    """The accuracy when exit `exits[i]` answers image `image_ids[i]` (int [N]).

    images: positions into `image_ids`, repeats allowed, for a bootstrap resample; None takes every image
    once. full: run pycocotools' own accumulate(), over all area ranges. Without it the ap_* stay None and the
    same numbers come a hundred times faster, for searches.
    """
    weights = _weights(matches_per_exit, exits, images)
    categories = matches_per_exit[0].categories
    precision = _judged(matches_per_exit, weights) if full else _quick(tuple(matches_per_exit), weights)
    overall = precision[..., 0]
    areas = [_mean(precision[..., area]) if full else None for area in range(1, len(AREAS))]
    return Accuracy(
        _mean(overall),
        _mean(overall[_AT_50]),
        _mean(overall[_AT_75]),
        *areas,
        {name: _mean(overall[:, :, k]) for k, name in enumerate(categories.values())},
        {name: _mean(overall[_AT_50, :, k]) for k, name in enumerate(categories.values())},
    )


def bootstrap_map(
    matches_per_exit: Sequence[Matches],
    exits: np.ndarray,
    resamples: int,
    seed: int,
    *,
    metric: Literal["map", "map50", "map75"] = "map",
) -> np.ndarray:
    """The metric over images drawn with replacement, float64 [resamples]; nan where a draw has nothing to
    find.

    The draws depend on `seed` and the number of images alone, so detectors matched on the same `image_ids`
    see the same draws and their differences are paired (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993).
    """
    weights, order = _weights(matches_per_exit, exits, None), matches_per_exit[0].order
    part = {"map": slice(None), "map50": _AT_50, "map75": _AT_75}[metric]
    values = []
    for images in resample(len(weights), resamples, seed):
        drawn = np.bincount(images, minlength=len(weights))[order]
        values.append(_mean(_quick(tuple(matches_per_exit), weights * drawn[:, None])[part]))
    return np.array(values, dtype=np.float64)


def _weights(matches: Sequence[Matches], exits: np.ndarray, images: np.ndarray | None) -> np.ndarray:
    """How often each image (by ascending id) is answered by each exit, int64 [N, exits]."""
    first, exits = matches[0], np.asarray(exits)
    n = len(first.image_ids)
    if any(other.image_ids != first.image_ids for other in matches):
        raise ValueError("the exits were matched on different images")
    if exits.shape != (n,) or (n and not 0 <= exits.min() <= exits.max() < len(matches)):
        raise ValueError(f"a routing needs one exit in 0..{len(matches) - 1} for each of {n} images")
    times = np.ones(n, np.int64) if images is None else np.bincount(images, minlength=n)
    if len(times) != n:
        raise ValueError(f"a resample draws positions in 0..{n - 1}")
    weights = np.zeros((n, len(matches)), np.int64)
    weights[np.arange(n), exits[first.order]] = times[first.order]
    return weights


def _judged(matches: Sequence[Matches], weights: np.ndarray) -> np.ndarray:
    """Precision [IoU, recall, class, area] by COCOeval.accumulate(), -1 where undefined."""
    chosen = np.repeat(np.arange(len(weights)), weights.sum(1)).tolist()
    exits = weights.argmax(1).tolist()
    judge = COCOeval(iouType="bbox")
    judge.params.imgIds = list(range(len(chosen)))
    judge.params.catIds = list(matches[0].categories)
    judge.params.maxDets = [100]
    judge._paramsEval = judge.params
    judge.evalImgs = [
        matches[exits[i]].results[k][area][i]
        for k in range(len(judge.params.catIds))
        for area in range(len(AREAS))
        for i in chosen
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        judge.accumulate()
    return judge.eval["precision"][..., 0]


def _quick(matches: tuple[Matches, ...], weights: np.ndarray) -> np.ndarray:
    """The same precision for all areas alone, [IoU, recall, class, 1]."""
    return np.stack([pool.precision(weights) for pool in _pools(matches)], axis=-1)[..., None]


@lru_cache(maxsize=2)
def _pools(matches: tuple[Matches, ...]) -> tuple[Pool, ...]:
    """One pool per class, kept because a search asks for the same exits again and again."""
    return tuple(Pool.of([m.results[k][0] for m in matches]) for k in range(len(matches[0].categories)))


def _slim(result: dict[str, Any] | None) -> dict[str, np.ndarray] | None:
    """What accumulate() reads of one image, class and area range; flags take an eighth of the room."""
    if result is None:
        return None
    return {
        "dtScores": np.array(result["dtScores"], dtype=np.float64),
        "dtMatches": result["dtMatches"] > 0,
        "dtIgnore": result["dtIgnore"],
        "gtIgnore": result["gtIgnore"],
    }


def _index(dataset: dict[str, Any]) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO()
        index.dataset = dataset
        index.createIndex()
    return index


def _mean(precision: np.ndarray) -> float | None:
    defined = precision[precision > -1]
    return float(np.mean(defined)) if defined.size else None
