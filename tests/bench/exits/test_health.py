"""Vitals of views whose state of health is known, and of a real detector's."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.exits.health import SEEN, STRETCH, exit_health
from bench.exits.view import View
from models.detector import to_probabilities
from models.ssdlite.loss import BOX_WEIGHTS, encode
from models.ssdlite.network import ssdlite

ANCHORS = 30


def view(foreground: torch.Tensor, code: torch.Tensor | None = None) -> View:
    """Two classes; foreground [A] is shared among them."""
    probabilities = torch.stack([1 - foreground, 0.75 * foreground, 0.25 * foreground])
    return View(probabilities, torch.zeros(len(foreground), 4) if code is None else code, lambda: None)


def planted(foreground: float, row: list[float]) -> dict[str, float]:
    """One anchor of 30 with a foreground and a box code of its own; the others see nothing, and code wildly."""
    seen, code = torch.full((ANCHORS,), SEEN / 2), torch.full((ANCHORS, 4), 1e9)
    seen[7], code[7] = foreground, torch.tensor(row)
    return exit_health(view(seen, code))


@given(st.floats(0, 1), st.floats(0, 1))
def test_spread_is_the_lead_of_the_best_anchor_over_the_median_one(ground, best):
    foreground = torch.full((ANCHORS,), ground)
    foreground[7] = best
    assert exit_health(view(foreground))["spread"] == pytest.approx(max(best - ground, 0), abs=1e-6)


def test_scores_that_are_no_numbers_do_not_spread():
    foreground = torch.full((ANCHORS,), 0.2)
    foreground[3] = math.nan
    assert exit_health(view(foreground))["spread"] == 0


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([0.0, 0.0, 0.0, 0.0], 0),
        ([BOX_WEIGHTS[0], 0.0, 0.0, 0.0], 1),
        ([0.0, -3 * BOX_WEIGHTS[1], 0.0, 0.0], 3),
        ([0.0, 0.0, STRETCH * BOX_WEIGHTS[2], 0.0], 1),
        ([1.0, 1.0, 1.0, -2 * STRETCH * BOX_WEIGHTS[3]], 2),
        ([0.0, math.nan, 0.0, 0.0], math.inf),
        ([0.0, 0.0, -math.inf, 0.0], math.inf),
    ],
)
def test_offset_is_the_largest_multiple_of_the_plausible(row, expected):
    assert planted(0.9, row)["offset"] == pytest.approx(expected)


def test_anchors_that_see_nothing_do_not_count():
    assert planted(0.99 * SEEN, [1e9] * 4)["offset"] == 0


@given(st.floats(0.1, 0.9), st.floats(0.1, 0.9), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(-1, 1))
def test_a_box_that_training_matches_with_its_anchor_is_plausible(x, y, right, down, grown):
    side = 0.2
    anchor = torch.tensor([x - side / 2, y - side / 2, x + side / 2, y + side / 2])
    centre, half = torch.tensor([x + right * side, y + down * side]), side / 2 * 2.0**grown
    box = torch.cat([centre - half, centre + half])
    assert planted(0.9, encode(box, anchor).tolist())["offset"] < 1


def test_an_untrained_detector_is_found_uniform_and_its_boxes_in_range():
    torch.manual_seed(0)
    detector = ssdlite(("a", "b"), 96).eval()
    with torch.inference_mode():
        (raw,) = detector(2 * torch.rand(1, 3, 96, 96) - 1)
        found = exit_health(View(to_probabilities(raw)[0], raw[1][0], lambda: None))
    assert found["spread"] < 0.05
    assert 0 <= found["offset"] < 0.5
