"""The embedded scenes: the same everywhere, extendable, with tight boxes, as hard as they say, never mostly
hidden."""

import subprocess
import sys

import numpy as np
import pytest

import bench.data.shapes as module
from bench.data.shapes import CLASSES, shapes
from models.errors import UserError


@pytest.fixture(scope="module")
def data():
    return shapes(0, 300, 40, 40)


@pytest.mark.slow
def test_hash_is_the_same_in_another_process():
    code = "from bench.data.shapes import shapes; print(shapes(3, 1, 1, 4).test.hash)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == shapes(3, 1, 1, 4).test.hash


def test_hash_is_the_same_on_every_machine():
    # A change here means that results measured before and after are about different data.
    assert shapes(0, 1, 1, 8).test.hash == "2b3ef8a5d5feda376d442d1dd11d1d1a03bfa4d9c39516e873f1f366909fc8fc"


def test_a_bigger_dataset_extends_a_smaller_one(data):
    small = shapes(0, 5, 3, 4)
    for one, other in zip(small.splits, data.splits, strict=True):
        assert one.image_hashes == other.image_hashes[: len(one)]
        for mine, theirs in zip(one.examples, other.examples, strict=False):
            assert (mine.boxes == theirs.boxes).all()
            assert mine.difficulty == theirs.difficulty


def test_seeds_and_roles_give_other_images(data):
    assert not set(shapes(1, 5, 3, 4).train.image_hashes) & set(data.train.image_hashes)
    assert data.train.image_hashes[0] != data.val.image_hashes[0] != data.test.image_hashes[0]


def test_images_are_read_only_rgb(data):
    assert data.train.image(0).shape == (160, 160, 3)
    assert data.train.image(0).dtype == np.uint8
    assert shapes(0, 1, 1, 1, size=96).train.image(0).shape == (96, 96, 3)


def test_boxes_are_tight_around_what_is_drawn(monkeypatch):
    drawn = []
    place = module._place
    monkeypatch.setattr(module, "_place", lambda *args: drawn.append(place(*args)) or drawn[-1])
    for i in range(60):
        example, _ = module.scene(0, "train", i, 160)
        objects, masks = drawn[-1]
        assert [CLASSES[label - 1] for label in example.labels] == [item.kind for item in objects]
        above = np.zeros((160, 160), bool)
        hidden = []
        for box, item, (whole, _) in reversed(list(zip(example.boxes, objects, masks, strict=True))):
            region, distance = item.distance(160)
            touched = np.zeros_like(whole)
            touched[region] = distance < 0.5
            # The box lies between the pixels that are mostly the object's and those it touches at all.
            assert (_outward(box_of(whole)) <= _outward(box) + 0.5).all()
            assert (_outward(box) <= _outward(box_of(touched)) + 0.5).all()
            hidden.append((whole & above).sum() / whole.sum())
            above |= whole
        assert max(hidden, default=0) <= 0.6
        assert example.difficulty["occlusion"] == pytest.approx(max(hidden, default=0))


def box_of(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def _outward(box: np.ndarray) -> np.ndarray:
    return box * [-1, -1, 1, 1]


def test_scenes_are_as_varied_as_promised(data):
    examples = data.train.examples
    counts = np.array([len(example.labels) for example in examples])
    sides = np.sqrt(np.concatenate([example.areas for example in examples]))
    labels = np.concatenate([example.labels for example in examples])
    assert counts.min() == 0
    assert counts.max() >= 7
    assert 0 < np.mean(counts == 0) < 0.08
    assert 30 < np.median(sides) < 50
    assert sides.min() > 8
    assert sides.max() < 101
    assert np.bincount(labels, minlength=5)[1:].min() > len(labels) / 6
    for name in ("clutter", "object_size", "contrast", "occlusion", "difficulty"):
        values = np.array([example.difficulty[name] for example in examples])
        assert values.min() >= 0
        assert values.max() <= 1
        assert np.ptp(values) > 0.35
    assert [example.difficulty["count"] for example in examples] == counts.tolist()


def test_difficulty_grows_with_each_cause():
    easy = {"clutter": 0.1, "object_size": 0.4, "contrast": 0.6, "occlusion": 0.0, "count": 1.0}
    harder = {"clutter": 0.9, "object_size": 0.1, "contrast": 0.2, "occlusion": 0.5, "count": 7.0}
    for name, value in harder.items():
        assert module._difficulty(**easy | {name: value}) > module._difficulty(**easy)
    assert module._difficulty(1, 0, 0, 0.6, 8) == pytest.approx(1)


def test_objects_stand_out_as_much_as_their_contrast_says():
    """The colour step across the outline of lone objects, measured on the finished image, follows
    `contrast`."""
    claimed, seen = [], []
    for i in range(120):
        example, image = module.scene(0, "val", i, 160)
        if len(example.labels) != 1 or example.areas[0] < 900:
            continue
        x0, y0, x1, y1 = example.boxes[0].astype(int)
        inside = image[(y0 + y1) // 2 - 2 : (y0 + y1) // 2 + 3, (x0 + x1) // 2 - 2 : (x0 + x1) // 2 + 3]
        outside = np.ones((160, 160), bool)
        outside[y0:y1, x0:x1] = False
        claimed.append(example.difficulty["contrast"])
        seen.append(np.abs(inside.mean((0, 1)) - image[outside].mean(0)).max() / 255)
    assert len(seen) > 20
    assert np.corrcoef(claimed, seen)[0, 1] > 0.6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 1, 1, 1), "seed -1 is negative"),
        ((0, 1, 1, 1, 32), "32 px is too small"),
        ((0, 1, 0, 1), "the val split is empty"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(UserError, match=message):
        shapes(*arguments)
