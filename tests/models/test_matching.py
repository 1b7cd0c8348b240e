"""Anchor matching against torchvision's own matcher, and the rules it must keep whatever the boxes."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection._utils import SSDMatcher
from torchvision.ops import box_iou

from models.detector import Targets
from models.matching import BACKGROUND, IGNORED, match
from tests.support.ssd_cases import ANCHORS, random_targets


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), images=st.integers(1, 3), most=st.integers(1, 6))
def test_equals_torchvision_image_by_image(seed, images, most):
    targets = random_targets(seed, images, most)
    owner = match(ANCHORS, targets)
    for image in range(images):
        real = targets.labels[image] > 0
        if not real.any():
            assert (owner[image] == BACKGROUND).all()
            continue
        expected = SSDMatcher(0.5)(box_iou(targets.boxes[image, real], ANCHORS))
        positions = torch.nonzero(real)[:, 0]
        mapped = torch.where(expected >= 0, positions[expected.clamp(min=0)], torch.full_like(expected, BACKGROUND))
        assert torch.equal(owner[image], mapped)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_every_box_keeps_an_anchor_unless_another_takes_the_same_one(seed):
    targets = random_targets(seed, 1, 3)
    owner = match(ANCHORS, targets)[0]
    best = box_iou(targets.boxes[0], ANCHORS).argmax(dim=1)
    for box in torch.nonzero(targets.labels[0] > 0)[:, 0].tolist():
        rivals = [k for k in range(box + 1, 3) if targets.labels[0, k] > 0 and best[k] == best[box]]
        assert rivals or (owner == box).any()


def test_anchors_inside_a_crowd_are_neither_object_nor_background():
    boxes = torch.tensor([[[0.0, 0.0, 1.0, 1.0], [0.1, 0.1, 0.3, 0.3]]])
    targets = Targets(boxes, torch.tensor([[1, 1]]), torch.tensor([[True, False]]))
    owner = match(ANCHORS, targets)[0]
    assert (owner == 1).any()
    assert not (owner == 0).any()
    assert set(owner.unique().tolist()) <= {IGNORED, BACKGROUND, 1}
    assert (owner == IGNORED).sum() > len(ANCHORS) * 0.9


def test_images_without_boxes():
    empty = Targets(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.long), torch.zeros(2, 0, dtype=torch.bool))
    assert (match(ANCHORS, empty) == BACKGROUND).all()


def test_of_two_boxes_with_one_best_anchor_the_later_keeps_it_and_padding_keeps_none():
    box = torch.tensor([0.3, 0.3, 0.62, 0.6])
    targets = Targets(box.expand(1, 3, 4), torch.tensor([[1, 2, 0]]), torch.zeros(1, 3, dtype=torch.bool))
    owner = match(ANCHORS, targets)[0]
    best = box_iou(box[None], ANCHORS).argmax()
    assert owner[best] == 1
    others = owner[torch.arange(len(owner)) != best]
    assert set(others.tolist()) == {0, BACKGROUND}  # of equal overlaps the first, but for the best anchor
