"""How fast the exact AP of any routing is: `python -m benchmarks.routing`, from the root of the repository.

On a synthetic bed of given size it prints what building the pool takes; policies per second and seconds for all of
them, each sending every image to an exit of its own; the same for bootstrap resamples of ten policies; and how many
times longer pycocotools would take for as many calls (area=all, maxDets=100, evaluate() and accumulate() alone), timed
in the same run on a few of the policies, where both must give the same mAP. Where faster-coco-eval is installed, it has
to give the first policy's as well, and its time is printed too. Compiling is left out, building is not.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bench.accuracy.coco import bootstrap_map, ground_truth
from bench.accuracy.matching import Matches, match
from bench.accuracy.pool import Pool, pooled
from bench.accuracy.results import coco_results
from models.detector import Detections

try:
    import faster_coco_eval as faster
except ImportError:
    faster = None

BOXES_PER_IMAGE = 7.3  # as in COCO, about 65 detections of which about 6 match one
POINTS = 10


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its result.

    Args:
        arguments: of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"images": 5000, "classes": 80, "exits": 3, "detections": 65, "policies": 10_000, "resamples": 1000}
    for name, size in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=size, help=f"{size} unless told")
    parser.add_argument("--judged", type=int, default=2, help="policies that pycocotools judges as well (2)")
    options = parser.parse_args(arguments)
    warm_up()

    rng = np.random.default_rng(0)
    truth, found = bed(rng, options.images, options.classes, options.exits, options.detections)
    routings = rng.integers(options.exits, size=(options.policies, options.images), dtype=np.int8)
    start = time.perf_counter()
    matches, pool = build(truth, found)
    building = time.perf_counter() - start
    rows = len(pool.unit) + len(pool.plain)
    print(f"{options.images} images, {options.classes} classes, {options.exits} exits, {rows} detections")
    print(f"building: {building:.2f} s, {len(pool.unit)} detections match something at some threshold")

    start = time.perf_counter()
    maps = pool.map_many(routings)
    seconds = time.perf_counter() - start
    judged = [judge(truth, COCOeval, found, routing) for routing in routings[: options.judged]]
    each = float(np.mean([took for _, took in judged]))
    apart = max(abs(reached - maps[n]) for n, (reached, _) in enumerate(judged))
    print(f"pycocotools: {each:.3f} s per policy, mAP apart by {apart:.1e} at most")
    if faster is not None:
        reached, took = judge(faster.COCO(truth.dataset), faster.COCOeval_faster, found, routings[0])
        print(f"faster-coco-eval: {took:.3f} s per policy, mAP apart by {abs(reached - maps[0]):.1e}")
    report("policies", options.policies, seconds, building, each)

    start = time.perf_counter()
    for routing in routings[:POINTS]:
        bootstrap_map(matches, routing, options.resamples, seed=0)
    seconds = time.perf_counter() - start
    report("resamples", options.resamples * len(routings[:POINTS]), seconds, building, each)


def report(what: str, count: int, seconds: float, building: float, each: float) -> None:
    """Print how fast some calls were.

    Args:
        what: was called.
        count: how many calls there were.
        seconds: they took.
        building: seconds that building the pool took.
        each: seconds that one call of pycocotools takes.
    """
    ratio = each * count / (building + seconds)
    print(
        f"{count} {what}: {seconds:.2f} s on {numba.get_num_threads()} threads, {count / seconds:.0f} per second, "
        f"{ratio:.0f} times pycocotools with building"
    )


def warm_up() -> None:
    """Compile everything on a bed of two images."""
    matches, _ = build(*bed(np.random.default_rng(0), 2, 2, 2, 5))
    bootstrap_map(matches, np.zeros(2, np.int8), 2, seed=0)


def build(truth: COCO, found: Sequence[Sequence[Detections]]) -> tuple[tuple[Matches, ...], Pool]:
    """Everything that has to happen once before the first routing.

    Args:
        truth: the ground truth.
        found: detections, [exit][image].

    Returns:
        Matches of every exit, and their pool.
    """
    matches = tuple(match(truth, list(truth.imgs), detections) for detections in found)
    return matches, pooled(matches)


def judge(
    truth: Any, judged_by: Callable[..., Any], found: Sequence[Sequence[Detections]], routing: NDArray[np.integer]
) -> tuple[float, float]:
    """Accuracy (mAP) of one routing, and the seconds of evaluate() and accumulate().

    Args:
        truth: an index of pycocotools, or of faster-coco-eval.
        judged_by: the COCOeval of the same library.
        found: detections, [exit][image].
        routing: the exit of each image, int [N].

    Returns:
        (mAP in [0, 1], seconds).
    """
    with contextlib.redirect_stdout(io.StringIO()):
        composed = truth.loadRes(coco_results(list(truth.imgs), [found[e][i] for i, e in enumerate(routing)]))
        judge = judged_by(truth, composed, "bbox")
        judge.params.areaRng, judge.params.areaRngLbl, judge.params.maxDets = [[0, 1e10]], ["all"], [100]
        start = time.perf_counter()
        judge.evaluate()
        judge.accumulate()
        seconds = time.perf_counter() - start
    precision = judge.eval["precision"]
    return float(precision[precision > -1].mean()), seconds


def bed(
    rng: np.random.Generator, images: int, classes: int, exits: int, detections: int
) -> tuple[COCO, list[list[Detections]]]:
    """Ground truth and every exit's detections, drawn at random.

    A few classes per image, some common and some rare, and later exits that miss less and hit closer.

    Args:
        rng: the source of randomness.
        images: how many there are.
        classes: how many there are.
        exits: how many there are.
        detections: per image and exit.

    Returns:
        The ground truth, and detections, [exit][image].
    """
    image = np.repeat(np.arange(images), rng.poisson(BOXES_PER_IMAGE, images))
    scene = (classes * rng.random((images, 3)) ** 2).astype(int)
    label = 1 + scene[image, rng.integers(3, size=len(image))]
    boxes = random_boxes(rng, len(image))
    crowd = rng.random(len(image)) < 0.012
    rows = zip(image.tolist(), label.tolist(), boxes.tolist(), crowd.tolist(), strict=True)
    truth: dict[str, Any] = {
        "images": [{"id": i + 1} for i in range(images)],
        "categories": [{"id": k + 1, "name": str(k)} for k in range(classes)],
        "annotations": [
            {"id": n, "image_id": i + 1, "category_id": k, "bbox": box, "area": box[2] * box[3], "iscrowd": int(many)}
            for n, (i, k, box, many) in enumerate(rows, 1)
        ],
    }
    found = []
    for skill in np.arange(1, exits + 1) / exits:
        hit = np.flatnonzero(rng.random(len(image)) < 0.5 + 0.4 * skill)
        near = boxes[hit] + rng.normal(0, 0.16 - 0.1 * skill, (len(hit), 4)) * boxes[hit][:, [2, 3, 2, 3]]
        others = max(0, detections * images - len(hit))
        where = np.r_[image[hit], rng.integers(images, size=others)]
        what = np.r_[label[hit], 1 + (classes * rng.random(others) ** 2).astype(int)]
        xywh = np.concatenate([near, random_boxes(rng, others)])
        scores = np.r_[rng.random(len(hit)) ** 0.7, rng.random(others) ** 6]
        order = np.lexsort((-scores, where))
        counts = np.bincount(where, minlength=images).tolist()
        corners = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)[order]
        parts = (corners.astype(np.float32), scores[order].astype(np.float32), what[order].astype(np.int64))
        ends = np.cumsum(counts[:-1])
        found.append([Detections(*row) for row in zip(*(np.split(part, ends) for part in parts), strict=True)])
    return ground_truth(truth), found


def random_boxes(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Boxes anywhere, from 8 to 300 px a side.

    Args:
        rng: the source of randomness.
        count: how many.

    Returns:
        x, y, width, height in px, float64 [count, 4].
    """
    corners, logarithms = rng.uniform(0, 300, (count, 2)), rng.uniform(math.log(8), math.log(300), (count, 2))
    return np.concatenate([corners, np.exp(logarithms)], axis=1)


if __name__ == "__main__":
    main()
