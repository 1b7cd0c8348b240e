"""What a gate is told, on answers written down by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.exits.features import LEVELS, TOP, features
from bench.exits.view import View

ANCHORS = 40


def answer(surest: range) -> torch.Tensor:
    """Two classes: TOP anchors see a 0.6 of the first, the others are nine parts in ten background."""
    probabilities = torch.tensor([[0.9], [0.06], [0.04]]).repeat(1, ANCHORS)
    probabilities[:, list(surest)] = torch.tensor([[0.3], [0.6], [0.1]])
    return probabilities


def test_every_number_is_what_it_says():
    top, (lead, mean, place, total, *counts) = np.split(features(answer(range(TOP))), [TOP])
    foreground = TOP * 0.7 + (ANCHORS - TOP) * 0.1
    assert top == pytest.approx([0.6] * TOP)
    assert lead == pytest.approx(0.3)
    assert mean == pytest.approx(foreground / ANCHORS)
    assert place == pytest.approx((TOP - 1) / 2 / ANCHORS)
    assert total == pytest.approx(math.log1p(foreground))
    assert len(counts) == len(LEVELS)
    assert counts[1:] == pytest.approx([math.log1p(TOP)] * 2), "0.7 is above 0.3 and 0.5; at 0.1 rounding decides"


def test_an_answer_among_the_last_anchors_differs_in_its_place_alone():
    first, last = features(answer(range(TOP))), features(answer(range(ANCHORS - TOP, ANCHORS)))
    (differ,) = np.flatnonzero(~np.isclose(first, last))
    assert (first[differ], last[differ]) == pytest.approx(((TOP - 1) / 2 / ANCHORS, 1 - (TOP + 1) / 2 / ANCHORS))


@given(st.integers(1, 5), st.integers(0, 100), st.sampled_from([0.0, 1.0, 30.0]))
def test_they_are_finite_for_any_probabilities_and_top_scores_descend(classes, seed, spread):
    logits = torch.randn(1 + classes, 30, generator=torch.Generator().manual_seed(seed)) * spread
    told = features(logits.softmax(0))
    assert told.dtype == np.float64
    assert np.isfinite(told).all()
    assert (np.diff(told[:TOP]) <= 0).all()
    assert 0 <= told[TOP + 2] < 1


def test_a_view_computes_them_once_and_without_detections():
    def unread():
        raise AssertionError("nobody asked for detections")

    view = View(answer(range(TOP)), torch.zeros(ANCHORS, 4), unread)
    assert view.features is view.features
    assert (view.features == features(answer(range(TOP)))).all()


@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 1000), st.booleans())
def test_they_are_those_of_a_few_lines_of_numpy_however_the_answer_lies_in_memory(classes, anchors, seed, transposed):
    logits = torch.randn(1 + classes, anchors, generator=torch.Generator().manual_seed(seed)) * 3
    given = logits.softmax(0)
    given = given.T.contiguous().T if transposed else given
    background, *others = given.numpy().astype(float)
    scores, foreground = np.max(others, axis=0), 1 - background
    best = np.argsort(-scores, kind="stable")[:TOP]
    counts = [foreground.sum(), *((foreground > level).sum() for level in LEVELS)]
    expected = [
        *np.pad(scores[best], (0, TOP - len(best))),
        (scores - background)[best].mean(),
        foreground.mean(),
        best.mean() / anchors,
        *np.log1p(counts),
    ]
    np.testing.assert_allclose(features(given), expected, rtol=1e-6, atol=1e-6)
