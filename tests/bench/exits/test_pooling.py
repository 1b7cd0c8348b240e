"""The compiled numbers are what torch says of the same probabilities."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.exits import pooling
from bench.exits.pooling import TOP


@given(st.integers(1, 6), st.integers(1, 400), st.integers(0, 10_000), st.sampled_from([0.1, 2.0, 40.0]))
def test_they_agree_with_torch(classes, anchors, seed, spread):
    logits = torch.randn(1 + classes, anchors, generator=torch.Generator().manual_seed(seed)) * spread
    given_, exact = (logits.softmax(0)).numpy(), logits.softmax(0).double()
    scores = exact[1:].amax(0)
    top = scores.topk(min(TOP, anchors)).values
    assert pooling.best_scores(given_).tolist() == scores.tolist()
    assert scores[pooling.surest(pooling.best_scores(given_))].tolist() == top.tolist()
    entropy = torch.special.entr(exact).sum(0) / math.log(1 + classes)
    weights = 1 - exact[0]
    expected = {
        "mean_top": top.mean(),
        "highest": scores.max(),
        "mean_entropy": entropy.mean(),
        "weighted_mean_entropy": weights @ entropy / weights.sum().clamp(min=1e-9),
    }
    for name, value in expected.items():
        assert getattr(pooling, name)(given_) == pytest.approx(float(value), abs=1e-6), name
    assert pooling.mean(given_[0]) == pytest.approx(float(exact[0].mean()))


@given(st.integers(1, 6), st.integers(1, 60), st.integers(0, 10_000))
def test_the_margin_is_that_of_the_surest_anchors(classes, anchors, seed):
    probabilities = torch.randn(1 + classes, anchors, generator=torch.Generator().manual_seed(seed)).softmax(0)
    anchors = probabilities[1:].amax(0).topk(min(TOP, anchors)).indices
    best, second = probabilities[:, anchors].topk(2, dim=0).values
    assert pooling.mean_margin(probabilities.numpy()) == pytest.approx(float((best - second).mean()), abs=1e-6)


def test_of_equal_scores_the_earlier_anchors_are_the_surest():
    scores = np.array([0.5] * 8 + [0.9] + [0.5] * 8, np.float32)
    assert pooling.surest(scores).tolist() == [8, *range(8), 9]
