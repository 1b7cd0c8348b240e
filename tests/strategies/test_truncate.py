"""A plain shallower network ends where it is told."""

import pytest
import torch

from models.errors import UserError
from strategies.truncate import Truncate
from tests.support.toys import apply, candidate


def test_every_block_to_end_at_needs_a_width():
    with pytest.raises(UserError, match="needs a width"):
        apply(Truncate(epochs=1, after=(8,)))
    with pytest.raises(UserError, match=r"within 6\.\.16"):
        apply(Truncate(epochs=1, after=(3,), widths=(16,)))


def test_truncation_ends_after_a_block_with_one_exit_that_keeps_the_anchors():
    start = candidate()
    made, calls = apply(Truncate(epochs=1, learning_rate=1e-3, widths=(16, 24)), start)
    assert [one.variant for one in made] == ["b8", "b12"]
    for one, blocks in zip(made, (9, 13), strict=True):
        assert one.detector.exits == 1
        assert len(one.detector.stages[0].blocks) == blocks
        assert (
            one.detector(torch.randn(1, 3, 96, 96))[0][0].shape == start.detector(torch.randn(1, 3, 96, 96))[0][0].shape
        )
    assert all("exit1/distil-class" in call["losses"] and call["inherited"] for call in calls)
