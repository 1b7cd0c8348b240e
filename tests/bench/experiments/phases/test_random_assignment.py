"""Anchors dealt by chance: as many as the rounds dealt, in turns, and blind to where anything lies."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.experiments.phases.random_assignment import round_robin
from models.detector import Targets
from models.matching import BACKGROUND, match
from models.ssdlite.loss import SSDLoss
from models.ssdlite.network import anchor_grid
from tests.support.random_targets import targets

ANCHORS = anchor_grid(128, 128)


@given(images=st.integers(1, 4), most=st.integers(0, 9), anchors=st.integers(1, 600), seed=st.integers(0, 99))
def test_every_object_gets_its_turns_and_nothing_else_gets_any(images, most, anchors, seed):
    truth = targets(images, most, seed)
    owner = round_robin(torch.zeros(anchors, 4), truth)
    assert owner.shape == (images, anchors)
    for row, real in zip(owner, (truth.labels > 0) & ~truth.crowd, strict=True):
        objects = int(real.sum())
        dealt = row[row != BACKGROUND]
        assert len(dealt) == min(10 * objects, anchors // 20)
        turns = torch.bincount(dealt, minlength=most)
        assert (turns[~real] == 0).all()
        if objects:
            assert turns[real].max() - turns[real].min() <= 1


def test_it_follows_the_global_generator_and_not_the_boxes():
    one, other = targets(3, 4, seed=0), targets(3, 4, seed=1)
    elsewhere = Targets(other.boxes, one.labels, one.crowd)
    torch.manual_seed(0)
    first = round_robin(ANCHORS, one)
    torch.manual_seed(0)
    assert torch.equal(first, round_robin(ANCHORS, elsewhere))
    assert not torch.equal(first, round_robin(ANCHORS, one))


def test_anchors_dealt_by_chance_are_far_from_their_objects():
    truth = targets(8, 3)
    raw = torch.zeros(8, len(ANCHORS), 2), torch.zeros(8, len(ANCHORS), 4)
    (dealt,), (matched,) = (SSDLoss(ANCHORS, assign=rule)([raw], truth) for rule in (round_robin, match))
    assert dealt["box"] > 3 * matched["box"]
