"""The embedded default data: circles, squares, triangles and stars over cluttered textures.

From trivially easy (one big bright figure on a plain ground) to hard (many small faint overlapping ones), with the
difficulty of every image known. Image i of a split depends on (seed, role, i) alone, so a bigger dataset extends a
smaller one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.drawing import FIGURES, Figure, coverage, direction, noise, ramp, strokes, unit_extent
from bench.data.images import Arrays
from bench.data.options import Options
from bench.data.registry import Reader
from bench.data.split import ROLES, Dataset, Example, Role, Split
from models.errors import UserError

CLASSES = FIGURES
SIZES = (1600, 400, 400)  # train, val and test images, unless others are asked for
PIXELS = 160
MOST_OBJECTS = 8
SMALLEST = 14  # px; below it a small star and a small circle look alike
SIDES = (14 / 160, 100 / 160)  # box sides, as fractions of the image's side
DELTAS = (55.0, 185.0)  # how far a figure's colour lies from the ground's, in grey levels
MOST_HIDDEN = 0.6
EMPTY = 0.03  # share of images without any figure

Masks = tuple[
    NDArray[np.bool_], NDArray[np.bool_]
]  # of one figure: all of it, and what is not hidden; bool [size, size]


def shapes(seed: int, train: int, val: int, test: int, size: int = PIXELS) -> Dataset:
    """Generate a dataset, kept in memory (3 bytes a pixel).

    Each example's `difficulty` holds, in [0, 1]: `clutter` (strength of texture and line fragments), `object_size`
    (mean square root of box area / size), `contrast` (mean colour difference between a figure and the ground under it /
    255, the strongest channel), `occlusion` (the largest hidden fraction of any figure) and `difficulty` (a weighted
    sum of how hard these make the image); and `count`, the number of figures.

    Args:
        seed: 0 or more.
        train: number of images.
        val: number of images.
        test: number of images.
        size: side of the images in px, at least 64.

    Returns:
        The dataset.

    Raises:
        UserError: the seed is negative, a split is empty or the images are too small.
    """
    if seed < 0:
        raise UserError(f"seed {seed} is negative", where="shapes", fix="use 0 or more")
    if size < 64:
        raise UserError(f"{size} px is too small to recognise the figures", where="shapes", fix="use 64 px or more")
    splits = [_split(seed, role, count, size) for role, count in zip(ROLES, (train, val, test), strict=True)]
    return Dataset("shapes", CLASSES, *splits)


def read(place: str, options: Options) -> Dataset:
    """`shapes` (`bench.data.registry.Reader`)."""
    names = ("classes", "max_images_per_class", "split", "split_by", "split_seed")
    options.refuse(*names, owner="data on disk", where="--data shapes")
    if place:
        raise UserError("this data is not understood", where=f"--data shapes:{place}", fix="write shapes")
    return shapes(options.seed, *(options.sizes or SIZES), size=PIXELS if options.size is None else options.size)


def scene(seed: int, role: Role, i: int, size: int) -> tuple[Example, NDArray[np.uint8]]:
    """One generated image and its ground truth.

    Args:
        seed: 0 or more.
        role: of the split.
        i: index of the image in the split; also its id.
        size: side of the image in px.

    Returns:
        The ground truth and the image, uint8 [size, size, 3].
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, ROLES.index(role), i])))
    plan = _plan(rng)
    ground = _ground(rng, plan, size)
    objects, masks = _place(rng, plan, size)
    image, contrast = _paint(rng, plan, ground, objects, masks)
    boxes = np.array([item.box(size) for item in objects], np.float32).reshape(-1, 4)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    labels = np.array([CLASSES.index(item.kind) + 1 for item in objects], np.int64)
    measured = {
        "clutter": plan.clutter,
        "object_size": float(np.sqrt(areas).mean() / size) if objects else 0.0,
        "contrast": contrast,
        "occlusion": max((_hidden(mask, visible) for mask, visible in masks), default=0.0),
        "count": float(len(objects)),
    }
    difficulty = measured | {"difficulty": _difficulty(**measured)}
    return Example(i, size, size, boxes, labels, np.zeros(len(objects), bool), areas, difficulty), image


def _split(seed: int, role: Role, count: int, size: int) -> Split:
    scenes = [scene(seed, role, i, size) for i in range(count)]
    return Split(role, CLASSES, tuple(example for example, _ in scenes), Arrays([image for _, image in scenes]))


def _difficulty(clutter: float, object_size: float, contrast: float, occlusion: float, count: float) -> float:
    if count == 0:
        return 0.3 * clutter
    small = 1 - min(object_size / 0.5, 1)
    faint = 1 - min(contrast / 0.6, 1)
    crowded = (count - 1) / (MOST_OBJECTS - 1)
    return 0.2 * clutter + 0.3 * small + 0.2 * faint + 0.15 * occlusion / MOST_HIDDEN + 0.15 * crowded


@dataclass(frozen=True)
class _Plan:
    """What is drawn once per image. Everything but `count` and `base` is in [0, 1]."""

    clutter: float
    small: float
    faint: float
    overlap: float
    count: int
    base: NDArray[np.float32]  # float32 [3], the colour of the ground


def _plan(rng: np.random.Generator) -> _Plan:
    # One hidden hardness moves all the causes together, so that easy images are easy in every way; each
    # cause also varies on its own, so that they can be told apart. The square makes easy images the more
    # common.
    easy_often, even = rng.random(2)
    hardness = 0.6 * easy_often * easy_often + 0.4 * even
    clutter, small, faint, overlap, crowd = np.clip(hardness + 0.5 * (rng.random(5) - 0.5), 0, 1).tolist()
    count = 0 if rng.random() < EMPTY else 1 + int(crowd * crowd * (MOST_OBJECTS - 0.01))
    return _Plan(clutter, small, faint, overlap, count, rng.integers(40, 216, 3).astype(np.float32))


def _ground(rng: np.random.Generator, plan: _Plan, size: int) -> NDArray[np.float32]:
    """The image before any figure: float32 [3, size, size] in about 0..255."""
    clutter = np.float32(plan.clutter)
    tint = (rng.random(3, dtype=np.float32) - np.float32(0.5)) * np.float32(70)
    slope = ramp(size, int(rng.integers(360)))
    texture = noise(rng, size, 3) * np.float32(18)
    for cells, strength in ((7, 26), (16, 24), (40, 20)):
        texture += noise(rng, size, cells) * np.float32(strength)
    ground = plan.base[:, None, None] + slope * tint[:, None, None]
    ground += (texture + noise(rng, size, 5, 3) * np.float32(18)) * clutter
    _scribble(rng, plan, ground)
    return ground


def _scribble(rng: np.random.Generator, plan: _Plan, ground: NDArray[np.float32]) -> None:
    """Line fragments, which are no figures, onto the ground (in place): more of them where there is more clutter."""
    size, count = ground.shape[-1], int(plan.clutter * 26)
    starts, lengths, widths, colours = (rng.random((count, k), dtype=np.float32) for k in (2, 1, 1, 3))
    along = np.array([direction(int(turn)) for turn in rng.integers(0, 360, count)], np.float32).reshape(-1, 2)
    starts = starts * np.float32(size)
    ends = starts + along * (lengths * np.float32(0.2) + np.float32(0.04)) * np.float32(size)
    colours = plan.base + (colours - np.float32(0.5)) * np.float32(170)
    strokes(ground, starts, ends, widths[:, 0] * np.float32(2.4) + np.float32(0.8), colours)


def _place(rng: np.random.Generator, plan: _Plan, size: int) -> tuple[list[Figure], list[Masks]]:
    """Figures from back to front, each with its whole and its visible mask (bool [size, size]).

    A figure that would hide too much of another is drawn again elsewhere, and given up after a number of tries.
    """
    objects: list[Figure] = []
    masks: list[Masks] = []
    for _ in range(plan.count):
        for _ in range(20):
            together = objects and rng.random() < plan.overlap / 2
            item = _figure(rng, plan, size, near=objects[-1] if together else None)
            region, distance = item.distance(size)
            mask = np.zeros((size, size), bool)
            mask[region] = distance <= 0
            left = [(whole, visible & ~mask) for whole, visible in masks]
            if all(_hidden(*pair) <= MOST_HIDDEN * plan.overlap for pair in left):
                objects.append(item)
                masks = [*left, (mask, mask)]
                break
    return objects, masks


def _figure(rng: np.random.Generator, plan: _Plan, size: int, near: Figure | None) -> Figure:
    """A random figure, anywhere or beside another one, with at least 80 % of its box's sides inside the image."""
    kind, turn = CLASSES[rng.integers(len(CLASSES))], int(rng.integers(360))
    big = min(max(1 - plan.small + 0.4 * (rng.random() - 0.5), 0), 1)
    low, high = max(SIDES[0] * size, SMALLEST), SIDES[1] * size
    side = low + (high - low) * big * (0.4 + 0.6 * big)
    left, top, right, bottom = unit_extent(kind, turn)
    radius = side / max(right - left, bottom - top)
    spot = rng.random(2)
    if near is None:
        x, y = spot * (size - 0.6 * side) + 0.3 * side
    else:
        x, y = np.clip([near.x, near.y] + (spot - 0.5) * (2 * near.radius + side), 0.3 * side, size - 0.3 * side)
    x, y = float(x) - radius * (left + right) / 2, float(y) - radius * (top + bottom) / 2
    return Figure(kind, x, y, radius, turn)


def _hidden(whole: NDArray[np.bool_], visible: NDArray[np.bool_]) -> float:
    return 1 - int(np.count_nonzero(visible)) / max(int(np.count_nonzero(whole)), 1)


def _paint(
    rng: np.random.Generator, plan: _Plan, ground: NDArray[np.float32], objects: list[Figure], masks: list[Masks]
) -> tuple[NDArray[np.uint8], float]:
    """The finished image, uint8 [size, size, 3], and the mean contrast of its figures in [0, 1]."""
    size, canvas, contrasts = ground.shape[-1], ground.copy(), []
    texture = noise(rng, size, 20)[0] * np.float32(4 + 10 * plan.clutter)
    for item, (_, visible) in zip(objects, masks, strict=True):
        region, distance = item.distance(size)
        window = (slice(None), *region)
        rim = np.where(distance > np.float32(-1.5), np.float32(0.8), np.float32(1))
        fill = (_colour(rng, plan)[:, None, None] + texture[region]) * rim
        difference = np.abs(fill - ground[window]).max(axis=0)[visible[region]]
        contrasts.append(min(float(difference.mean()) / 255, 1))
        canvas[window] += (fill - canvas[window]) * coverage(distance)
    canvas += (rng.random((size, size), dtype=np.float32) - np.float32(0.5)) * np.float32(8)
    image = np.rint(np.clip(canvas, 0, 255)).astype(np.uint8).transpose(1, 2, 0)
    return np.ascontiguousarray(image), sum(contrasts) / max(len(contrasts), 1)


def _colour(rng: np.random.Generator, plan: _Plan) -> NDArray[np.float32]:
    """A colour, float32 [3], that differs from the ground's by the planned number of grey levels in one channel.

    In the other channels it differs by less.
    """
    delta = DELTAS[1] - (DELTAS[1] - DELTAS[0]) * plan.faint
    away = rng.random(3) * 2 - 1
    away = away / max(abs(away)) * delta
    outside = (plan.base + away < 10) | (plan.base + away > 245)
    return np.clip(np.where(outside, plan.base - away, plan.base + away), 5, 250).astype(np.float32)


READER = Reader(read)
