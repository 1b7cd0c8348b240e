"""Patches: to whom they are given, and that their boxes come out as they went in."""

import pytest
import torch

from models.detector import Targets
from models.matching import BACKGROUND, IGNORED
from models.patches import PatchBoxes, PatchHead, PatchLoss, centres

SIDE = 8


def one(box, *, crowd=False, label=2) -> Targets:
    return Targets(torch.tensor([[box]]), torch.tensor([[label]]), torch.tensor([[crowd]]))


def given(targets: Targets) -> torch.Tensor:
    return PatchBoxes(SIDE).owners((torch.zeros(1), torch.zeros(1)), targets)[0]


def test_centres_go_row_by_row():
    assert centres(2).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]


def test_patches_near_the_centre_of_a_box_are_given_to_it():
    box = [0.25, 0.25, 0.75, 0.75]
    owner = given(one(box)).view(SIDE, SIDE)
    assert (owner == 0).sum() == 16 - 4 + 4  # centres within 1.5 patches of the middle: four by four less nothing
    assert owner[0, 0] == BACKGROUND


def test_a_box_between_centres_keeps_the_nearest_patch():
    owner = given(one([0.49, 0.49, 0.51, 0.51]))
    assert (owner == 0).sum() == 1


def test_the_smaller_of_two_boxes_wins():
    boxes = torch.tensor([[[0.0, 0.0, 1.0, 1.0], [0.4, 0.4, 0.6, 0.6]]])
    owner = given(Targets(boxes, torch.tensor([[1, 1]]), torch.tensor([[False, False]]))).view(SIDE, SIDE)
    assert owner[3, 3] == 1
    assert owner[2, 2] == 0


def test_patches_in_a_crowd_are_ignored():
    owner = given(one([0.0, 0.0, 0.5, 0.5], crowd=True)).view(SIDE, SIDE)
    assert (owner[:4, :4] == IGNORED).all()
    assert (owner[4:] == BACKGROUND).all()


def test_boxes_come_out_as_they_went_in():
    decode, box = PatchBoxes(SIDE), torch.tensor([0.3, 0.2, 0.7, 0.9])
    at = torch.tensor([27])
    centre = decode.centres[at]
    code = (torch.cat([centre - box[:2], box[2:] - centre], dim=-1) * SIDE).log()
    assert torch.allclose(decode(code, at)[0], box, atol=1e-6)


def test_the_right_answer_costs_nothing():
    targets = one([0.25, 0.25, 0.75, 0.75])
    decode = PatchBoxes(SIDE)
    owner = decode.owners((torch.zeros(1), torch.zeros(1)), targets)
    logits = torch.zeros(1, SIDE * SIDE, 3)
    logits[0, torch.arange(SIDE * SIDE), (owner[0] >= 0) * 2] = 50
    centre = decode.centres
    code = (torch.cat([centre - 0.25, 0.75 - centre], dim=-1) * SIDE).clamp(min=1e-6).log()[None]
    right = PatchLoss(decode)((logits, code), targets)
    assert sum(right.values()).item() == pytest.approx(0, abs=1e-4)
    wrong = PatchLoss(decode)((-logits, code + 1), targets)
    assert wrong["class"] > 1
    assert wrong["giou"] > 0.1


def test_one_layer_says_classes_and_distances():
    logits, code = PatchHead(6, 4)(torch.zeros(2, 5, 6))
    assert logits.shape == (2, 5, 4)
    assert code.shape == (2, 5, 4)
