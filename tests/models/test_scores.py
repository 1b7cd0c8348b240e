"""Class logits become probabilities whose row 0 is the background's, whatever they mean."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.scores import SIGMOID, SOFTMAX, sigmoid_log_loss
from models.temperature import best_temperature

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(2, 5), st.integers(0, 2**31))


def logits(shape: tuple[int, int, int, int]) -> torch.Tensor:
    images, anchors, width, seed = shape
    return 8 * torch.randn(images, anchors, width, generator=torch.Generator().manual_seed(seed))


@given(SHAPES)
def test_softmax_is_exclusive_and_a_softmax_of_every_anchor(shape):
    given_ = logits(shape)
    found = SOFTMAX.probabilities(given_)
    assert SOFTMAX.exclusive
    assert torch.allclose(found.sum(1), torch.ones(found.shape[0], found.shape[2]), atol=1e-5)
    exact = given_.double().exp() / given_.double().exp().sum(-1, keepdim=True)
    assert torch.allclose(found.double(), exact.transpose(1, 2), atol=1e-5)


@given(SHAPES)
def test_sigmoid_is_not_and_its_background_is_what_the_best_class_leaves(shape):
    given_ = logits(shape)
    found = SIGMOID.probabilities(given_)
    assert not SIGMOID.exclusive
    assert found.shape == (shape[0], 1 + shape[2], shape[1])
    assert ((found >= 0) & (found <= 1)).all()
    exact = 1 / (1 + (-given_.double()).exp())
    assert torch.allclose(found[:, 1:].double(), exact.transpose(1, 2), atol=1e-6)
    assert torch.allclose(found[:, 0].double(), 1 - exact.amax(-1), atol=1e-6)
    assert (found.sum(1) >= 1 - 1e-6).all()


def test_with_one_class_both_say_the_same():
    foreground = torch.linspace(-6, 6, 13)[None, :, None]
    with_background = torch.cat([torch.zeros_like(foreground), foreground], dim=-1)
    assert torch.allclose(SIGMOID.probabilities(foreground), SOFTMAX.probabilities(with_background), atol=1e-6)
    label = torch.arange(13) % 2
    assert float(SIGMOID.log_loss(foreground[0], label)) == pytest.approx(
        float(SOFTMAX.log_loss(with_background[0], label)), rel=1e-5
    )


def test_the_log_loss_of_yes_or_no_answers_is_their_sum():
    def no(logit: float) -> float:
        return math.log(1 + math.exp(logit))

    found = sigmoid_log_loss(torch.tensor([[0.0, 1.0], [2.0, -1.0]]), torch.tensor([1, 0]))
    first, background = no(-0.0) + no(1.0), no(2.0) + no(-1.0)  # yes is no to minus the logit
    assert float(found) == pytest.approx((first + background) / 2)


@pytest.mark.parametrize("planted", [0.7, 1.8])
def test_a_planted_temperature_of_sigmoids_is_recovered(planted):
    generator = torch.Generator().manual_seed(0)
    given_ = torch.randn(20_000, 1, generator=generator) * 3
    labels = torch.bernoulli((given_[:, 0] / planted).sigmoid(), generator=generator).long()
    assert best_temperature(given_, labels, SIGMOID) == pytest.approx(planted, rel=0.05)
