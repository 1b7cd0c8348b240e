"""The compiled postprocess against torch and torchvision, part by part; the whole is compared in test_ssdlite.py."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import nms

from models.nms import best, decode, postprocess, suppress
from models.ssdlite.network import AnchorBoxes, anchor_grid

SEEDS = st.integers(0, 2**32 - 1)


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corner, size = rng.random((count, 2)), rng.random((count, 2)) * 0.5
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32)


@settings(deadline=None)
@given(SEEDS, st.integers(0, 60), st.floats(0.1, 0.9))
def test_suppression_equals_torchvisions(seed, count, iou):
    rng = np.random.default_rng(seed)
    boxes, scores = random_boxes(rng, count), np.sort(rng.random(count).astype(np.float32))[::-1].copy()
    ours = np.flatnonzero(suppress(boxes, iou))
    assert ours.tolist() == sorted(nms(torch.from_numpy(boxes), torch.from_numpy(scores), iou).tolist())


@settings(deadline=None)
@given(SEEDS, st.integers(1, 40), st.integers(1, 20), st.integers(2, 9))
def test_the_best_are_the_highest_above_the_floor_and_ties_stay_in_order(seed, count, wanted, levels):
    scores = (np.random.default_rng(seed).integers(0, levels, count) / 10).astype(np.float32)
    found = best(scores, 0.1, wanted)
    order = sorted((index for index in range(count) if scores[index] > np.float32(0.1)), key=lambda i: (-scores[i], i))
    assert found.tolist() == order[:wanted]


def test_decoding_equals_the_module_on_the_anchors_asked_for():
    anchors = AnchorBoxes(anchor_grid(96, 96), 96)
    code = torch.randn(len(anchors.centre), 4, generator=torch.Generator().manual_seed(0)) * 5
    at = np.array([3, 0, 100, 3])
    found = decode(code.numpy(), *(part.numpy() for part in (anchors.centre, anchors.extent, anchors.weights)), at)
    assert np.allclose(found, anchors(code[at], torch.from_numpy(at)).numpy(), atol=1e-5)


@pytest.mark.parametrize("most", [1, 3, 100])
def test_the_best_over_all_classes_stay_and_nothing_above_the_floor_is_no_detection(most):
    rng = np.random.default_rng(0)
    boxes = AnchorBoxes(anchor_grid(96, 96), 96)
    anchors = tuple(part.numpy() for part in (boxes.centre, boxes.extent, boxes.weights))
    probabilities = rng.random((3, len(boxes.centre)), dtype=np.float32)
    code = rng.normal(size=(len(boxes.centre), 4)).astype(np.float32)
    found, scores, labels = postprocess(probabilities, code, *anchors, 0.5, 0.5, 20, 100)
    few = postprocess(probabilities, code, *anchors, 0.5, 0.5, 20, most)
    assert len(few[0]) == min(most, len(found))
    assert all(np.array_equal(part[:most], less) for part, less in zip((found, scores, labels), few, strict=True))
    assert (np.diff(scores) <= 0).all()
    assert set(labels) == {1, 2}
    assert all(len(part) == 0 for part in postprocess(probabilities, code, *anchors, 1.0, 0.5, 20, most))
