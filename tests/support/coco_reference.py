"""Random ground truth and detections with everything that goes wrong in practice, and COCOeval run on them
the way everyone runs it."""

import contextlib
import copy
import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bench.accuracy.coco import ground_truth
from bench.accuracy.matching import match
from bench.accuracy.results import coco_results
from models.detector import Detections

NAMES = ("person", "chair", "cup")
EXITS = 3
any_bed = given(  # the arguments of `bed`
    seed=st.integers(0, 2**32),
    levels=st.sampled_from([2, 5, 2**20]),
    grid=st.sampled_from([0, 20, 60]),
    borders=st.booleans(),
)


def boxes_near(rng, n):
    corner, size = rng.uniform(0, 200, (n, 2)), rng.choice([10.0, 25, 60, 150], (n, 2))
    return np.concatenate([corner, corner + size], axis=1)


def random_truth(rng, n):
    """A COCO dict with shuffled image ids, crowds, images without boxes and perhaps a class without any."""
    ids = rng.permutation(np.arange(1, 10 * n, 7))[:n].tolist()
    annotations = []
    for image_id in ids:
        for x1, y1, x2, y2 in boxes_near(rng, rng.choice([0, 1, 2, 6])):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(rng.choice([1, 1, 2, 3])),
                    "bbox": [float(v) for v in (x1, y1, x2 - x1, y2 - y1)],
                    "area": float((x2 - x1) * (y2 - y1) * rng.uniform(0.5, 1)),
                    "iscrowd": int(rng.random() < 0.15),
                }
            )
    missing = rng.choice([0, 0, 2])
    return {
        "images": [{"id": i, "width": 448, "height": 448} for i in ids],
        "annotations": [a for a in annotations if a["category_id"] != missing],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(NAMES)],
    }


def random_detections(rng, truth, levels):
    """One exit: boxes near the truth and others anywhere, on few score levels when ties are wanted."""
    per_image = {image["id"]: [] for image in truth["images"]}
    dropped, silent = rng.choice([0, 0, 3]), rng.random() < 0.1
    for box in truth["annotations"]:
        x, y, w, h = box["bbox"]
        for _ in range(rng.integers(3)):
            jitter = rng.normal(0, 0.12, 4) * [w, h, w, h]
            per_image[box["image_id"]].append((np.array([x, y, x + w, y + h]) + jitter, box["category_id"]))
    found = []
    for rows in per_image.values():
        k = rng.choice([0, 1, 5, 130], p=[0.3, 0.3, 0.35, 0.05])
        label = rng.choice([1, 2, 3], k) if k < 100 else np.full(k, rng.choice([1, 2, 3]))
        rows += list(zip(boxes_near(rng, k), label, strict=True))
        rows = [] if silent or rng.random() < 0.1 else [row for row in rows if row[1] != dropped]
        scores = -np.sort(-np.round(rng.random(len(rows)) * levels) / levels)
        boxes = np.array([box for box, _ in rows]).reshape(-1, 4)
        found.append(
            Detections(
                boxes.astype(np.float32),
                scores.astype(np.float32),
                np.array([label for _, label in rows], np.int64),
            )
        )
    return found


def coarse(rng, truth, found, grid):
    """Every coordinate a multiple of `grid` px, so that boxes coincide and IoUs tie; crowds around everything, and some
    boxes inside out."""
    for box in truth["annotations"]:
        box["bbox"] = [0, 0, 400, 400] if box["iscrowd"] else [grid * round(v / grid) for v in box["bbox"]]
    for one in (one for exit_found in found for one in exit_found):
        one.boxes[:] = np.round(one.boxes / grid) * grid
        flipped = rng.random(len(one)) < 0.05
        one.boxes[flipped] = one.boxes[flipped][:, [2, 1, 0, 3]]


def bordering(rng, truth, found):
    """Boxes and detections of 32^2 and 96^2 px, where area ranges meet, or hair's breadths off."""

    def square(corner, size):
        side = np.where(size < 64, 32.0, 96.0)
        return 8 * np.round(corner / 8), np.stack([side + rng.choice([-(2**-10), 0, 0, 2**-10], len(side)), side], 1)

    for box in truth["annotations"]:
        (corner,), (size,) = square(np.array([box["bbox"][:2]]), np.array(box["bbox"][2:3]))
        box["bbox"], border = [*corner.tolist(), *size.tolist()], size[1] ** 2
        box["area"] = float(rng.choice([np.nextafter(border, 0), border, border, np.nextafter(border, 1e9)]))
    for one in (one for exit_found in found for one in exit_found):
        corners = one.boxes.astype(np.float64)
        corner, size = square(corners[:, :2], corners[:, 2] - corners[:, 0])
        one.boxes[:] = np.concatenate([corner, corner + size], axis=1)


def bed(seed, levels=4, n=14, grid=0, borders=False):
    rng = np.random.default_rng(seed)
    truth = random_truth(rng, n)
    ids = [image["id"] for image in truth["images"]]
    found = [random_detections(rng, truth, levels) for _ in range(EXITS)]
    if grid:
        coarse(rng, truth, found, grid)
    if borders:
        bordering(rng, truth, found)
    matches = [match(ground_truth(truth), ids, exit_found) for exit_found in found]
    return rng, truth, ids, found, matches


def composed(ids, found, routing):
    return coco_results(ids, [found[e][i] for i, e in enumerate(routing)])


def stock(truth, rows):
    """COCOeval as everyone runs it: evaluate, accumulate, summarize on its defaults."""
    with contextlib.redirect_stdout(io.StringIO()):
        index, found = COCO(), COCO()
        index.dataset = copy.deepcopy(truth)
        index.createIndex()
        if rows:
            found = index.loadRes(copy.deepcopy(rows))
        else:
            found.dataset = {**truth, "annotations": []}
            found.createIndex()
        judge = COCOeval(index, found, "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge
