"""Datasets whose every box is planted, on grey images."""

from collections.abc import Sequence

import numpy as np

from bench.data.images import Arrays
from bench.data.split import ROLES, Dataset, Example, Reading, Split

Box = tuple[int, float, float, float, float]  # label, x1, y1, x2, y2; a negative label is an ignore region of its class
Planted = tuple[int, int, list[Box]]  # width, height, boxes
GREY = 128


def boxed(
    parts: Sequence[Sequence[Planted]],
    classes: tuple[str, ...] = ("a", "b"),
    name: str = "planted",
    reading: Reading | None = None,
) -> Dataset:
    """Images of train, val and test; their greys differ a little, so that no two are the same."""
    ids = iter(range(1, 10_000))
    splits = []
    for role, part in zip(ROLES, parts, strict=True):
        examples = [example(next(ids), *planted) for planted in part]
        images = [np.full((one.height, one.width, 3), GREY, np.uint8) for one in examples]
        for one, image in zip(examples, images, strict=True):
            image[0, 0] = one.id % 256, one.id // 256, 0
        splits.append(Split(role, classes, tuple(examples), Arrays(images)))
    return Dataset(name, classes, *splits, reading=reading)


def example(key: int, width: int, height: int, boxes: list[Box]) -> Example:
    """One image's ground truth; an area is width x height."""
    corners = np.array([box[1:] for box in boxes], np.float32).reshape(-1, 4)
    labels = np.array([box[0] for box in boxes], np.int64)
    areas = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    return Example(key, width, height, corners, np.abs(labels), labels < 0, areas)


def scattered(images: int, classes: int, rng: np.random.Generator) -> list[Planted]:
    """Random images of 40 to 400 px with up to 12 boxes of 1 px up to the whole image; some are ignore regions."""
    found = []
    for _ in range(images):
        size = rng.integers(40, 400, 2)
        low = rng.uniform(0, 0.6, (rng.integers(0, 12), 2)) * size
        high = low + np.maximum(1, rng.uniform(0, 1, low.shape) ** 3 * (size - low))
        signs = rng.choice([1, 1, 1, 1, -1], len(low))
        labels = signs * rng.integers(1, classes + 1, len(low))
        boxes = [(int(k), *map(float, (*a, *b))) for k, a, b in zip(labels, low, high, strict=True)]
        found.append((int(size[0]), int(size[1]), boxes))
    return found
