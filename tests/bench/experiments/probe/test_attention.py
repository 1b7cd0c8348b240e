"""Attention as numbers, on maps whose answer is known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.experiments.probe.attention import covered, entropy, focus
from models.detector import Targets
from models.errors import UserError
from tests.support.ssd_cases import random_targets

RESAMPLES, SEED = 300, 0


def boxes(*rows) -> Targets:
    """One box an image."""
    placed = torch.tensor(rows)[:, None]
    return Targets(placed, torch.ones(len(rows), 1, dtype=torch.long), torch.zeros(len(rows), 1, dtype=torch.bool))


def even(images: int, side: int = 8) -> torch.Tensor:
    return torch.full((images, side, side), 1 / side**2)


@given(st.integers(0, 1000))
def test_even_attention_lifts_nothing_whatever_the_boxes(seed):
    targets = random_targets(seed, 5, 3)
    if (targets.labels > 0).any():
        found = focus(even(5), targets, 100, SEED)
        assert found.lift == pytest.approx(1, abs=1e-4)
        assert found.lift_interval == pytest.approx((1, 1), abs=1e-4)
        assert found.blind == pytest.approx(1, abs=1e-4)
        assert found.entropy == pytest.approx(1)


def test_all_attention_inside_lifts_by_one_over_the_area():
    targets = boxes([0.25, 0.25, 0.75, 0.75], [0.0, 0.5, 0.5, 1.0])
    attention = covered(targets, 8) / 16
    found = focus(attention, targets, RESAMPLES, SEED)
    assert found.inside == pytest.approx(1)
    assert found.area == pytest.approx(0.25)
    assert found.lift == pytest.approx(4)
    assert found.lift_interval == pytest.approx((4, 4))
    assert found.blind == pytest.approx(1)  # either image's attention has a quarter of itself in the other's box
    assert found.entropy == pytest.approx(np.log(16) / np.log(64))


def test_attention_that_always_lies_in_the_middle_is_no_better_blind():
    targets = boxes(*[[0.25, 0.25, 0.75, 0.75]] * 4)
    found = focus(covered(targets, 8) / 16, targets, RESAMPLES, SEED)
    assert found.lift == pytest.approx(4)
    assert found.blind == pytest.approx(found.lift)


def test_attention_that_knows_nothing_has_one_in_its_interval():
    rng = np.random.default_rng(3)
    attention = torch.from_numpy(rng.dirichlet(np.full(64, 0.3), 80)).float().view(80, 8, 8)
    found = focus(attention, random_targets(1, 80, 2), 1000, SEED)
    assert found.lift_interval[0] < 1 < found.lift_interval[1]
    assert found.lift_interval[1] - found.lift_interval[0] < 0.5


@given(st.tuples(*[st.floats(0, 0.7)] * 2), st.tuples(*[st.floats(0.02, 0.3)] * 2))
def test_a_box_covers_its_area(corner, extent):
    (x, y), (width, height) = corner, extent
    share = covered(boxes([x, y, x + width, y + height]), 10)
    assert float(share.mean()) == pytest.approx(width * height, abs=(width + height) / 80 + 1 / 80**2)
    assert ((share >= 0) & (share <= 1)).all()


def test_what_boxes_share_counts_once():
    box = torch.tensor([[[0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 0.5, 0.5]]])
    targets = Targets(box, torch.tensor([[1, 2]]), torch.tensor([[False, True]]))
    assert float(covered(targets, 4).mean()) == pytest.approx(0.5)


def test_attention_on_one_cell_has_no_entropy():
    attention = torch.zeros(1, 4, 4)
    attention[0, 2, 1] = 1
    assert float(entropy(attention)) == 0


def test_images_without_objects_cannot_say_anything():
    nothing = Targets(torch.zeros(2, 1, 4), torch.zeros(2, 1, dtype=torch.long), torch.zeros(2, 1, dtype=torch.bool))
    with pytest.raises(UserError, match="no object"):
        focus(even(2), nothing, RESAMPLES, SEED)
