"""Small worlds for routing: images with one box or none, and exits that find it, miss it or raise false alarms."""

import numpy as np

from bench.accuracy.coco import accuracy, ground_truth
from bench.accuracy.matching import Matches, match
from models.detector import Detections

HERE, THERE = [10.0, 10.0, 60.0, 60.0], [70.0, 70.0, 90.0, 90.0]


def matched(boxes, found) -> list[Matches]:
    """Every exit's matches: boxes [N] says which images have one, at HERE; found[exit][image] is a list of (box,
    score), highest score first."""
    images = [{"id": i, "width": 100, "height": 100} for i in range(len(boxes))]
    annotations = [
        {"id": i + 1, "image_id": i, "category_id": 1, "bbox": [10, 10, 50, 50], "area": 2500, "iscrowd": 0}
        for i in np.flatnonzero(boxes).tolist()
    ]
    truth = ground_truth({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]})
    return [match(truth, range(len(boxes)), [detections(one) for one in exit]) for exit in found]


def detections(found) -> Detections:
    boxes, scores = np.float32([box for box, _ in found]).reshape(-1, 4), np.float32([score for _, score in found])
    return Detections(boxes, scores, np.ones(len(found), np.int64))


def halves(images: int) -> list[Matches]:
    """A box on every image. Exit 0 finds it on even images and raises a false alarm on odd ones; the others find all
    of them."""
    late = [[(HERE, 0.9 - 0.01 * i)] for i in range(images)]
    first = [[(HERE if i % 2 == 0 else THERE, 0.9 - 0.01 * i)] for i in range(images)]
    return matched(np.ones(images, bool), [first, late, late])


def noisy(images: int, seed: int) -> list[Matches]:
    """Boxes on three images of four; a later exit finds more of them and raises fewer false alarms."""
    rng = np.random.default_rng(seed)
    boxes = rng.random(images) < 0.75

    def answer(image: int, exit: int) -> list:
        hit, alarm = boxes[image] and rng.random() < 0.4 + 0.2 * exit, rng.random() < 0.5 - 0.15 * exit
        here, there = rng.random(2)
        found = [(HERE, here)] * int(hit) + [(THERE, there)] * int(alarm)
        return sorted(found, key=lambda one: -one[1])

    return matched(boxes, [[answer(image, exit) for image in range(images)] for exit in range(3)])


def reached(matches: list[Matches], exits: np.ndarray) -> float:
    return accuracy(matches, exits, full=False).map
