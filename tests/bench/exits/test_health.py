"""Vitals of views whose state of health is known, and of a real detector's."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.exits.health import SEEN, exit_health
from bench.exits.view import View
from bench.routing.alarms import out_of_range
from models.detector import Detector
from models.set_loss import LEAST, OUTSIDE, UnitBoxes, centred
from models.ssdlite.loss import BOX_WEIGHTS, encode
from models.ssdlite.network import STRETCH, AnchorBoxes, anchor_grid, ssdlite
from models.yolos.network import scratch

ANCHORS = 30
ANCHORED, UNIT = AnchorBoxes(anchor_grid(96, 96), 96), UnitBoxes()


def view(foreground: torch.Tensor, code: torch.Tensor | None = None) -> View:
    """Two classes; foreground [A] is shared among them."""
    probabilities = torch.stack([1 - foreground, 0.75 * foreground, 0.25 * foreground])
    return View(probabilities, torch.zeros(len(foreground), 4) if code is None else code, lambda: None)


def planted(foreground: float, row: list[float], decode=ANCHORED) -> dict[str, float]:
    """One anchor of 30 with a foreground and a box code of its own; the others see nothing, and code wildly."""
    seen, code = torch.full((ANCHORS,), SEEN / 2), torch.full((ANCHORS, 4), 1e9)
    seen[7], code[7] = foreground, torch.tensor(row)
    return exit_health(view(seen, code), decode)


@given(st.floats(0, 1), st.floats(0, 1))
def test_spread_is_the_lead_of_the_best_anchor_over_the_median_one(ground, best):
    foreground = torch.full((ANCHORS,), ground)
    foreground[7] = best
    assert exit_health(view(foreground), ANCHORED)["spread"] == pytest.approx(max(best - ground, 0), abs=1e-6)


def test_scores_that_are_no_numbers_do_not_spread():
    foreground = torch.full((ANCHORS,), 0.2)
    foreground[3] = math.nan
    assert exit_health(view(foreground), ANCHORED)["spread"] == 0


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
    found = of_one_image(ssdlite(("a", "b"), 96))
    assert found["spread"] < 0.05
    assert 0 <= found["offset"] < 0.5


@torch.inference_mode()
def of_one_image(detector: Detector) -> dict[str, float]:
    (raw,) = detector.eval()(2 * torch.rand(1, 3, 96, 96) - 1)
    return exit_health(View(detector.probabilities(raw)[0], raw[1][0], lambda: None), detector.decoders[0])


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([0.5, 0.5, 1.0, 1.0], 0),  # the whole image
        ([0.1, 0.5, 0.2 + 2 * OUTSIDE, 0.5], 1),  # sticks out to the left by OUTSIDE
        ([0.5, 1.0, 0.5, 4 * OUTSIDE], 2),
        ([0.5, 1 + 3 * OUTSIDE, 0.5, LEAST], 3),
        ([0.5, 0.5, LEAST, 0.5], 1),
        ([0.5, 0.5, 0.5, LEAST**2], 2),
        ([0.5, 0.5, 0.5, 0.0], math.inf),
        ([0.5, 0.5, -0.1, 0.5], math.inf),
        ([math.nan, 0.5, 0.1, 0.1], math.inf),
    ],
)
def test_unit_boxes_are_plausible_inside_the_image_and_with_an_area(row, expected):
    assert planted(0.9, row, UNIT)["offset"] == pytest.approx(expected, abs=2e-3)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_every_box_that_lies_in_the_image_is_plausible(numbers):
    (x1, x2), (y1, y2) = sorted(numbers[:2]), sorted(numbers[2:])
    box = torch.tensor([x1, y1, max(x2, x1 + 2 * LEAST), max(y2, y1 + 2 * LEAST)])
    assert planted(0.9, centred(box).tolist(), UNIT)["offset"] <= 1


def sees_everywhere(detector: Detector, boxes: float) -> Detector:
    """A YOLOS whose every query answers with an object. boxes: factor on what its box head says."""
    head = detector.stages[0].head
    with torch.no_grad():
        head.classes.layers[-1].bias += torch.tensor([-9.0, 9.0])
        head.boxes.layers[-1].weight *= boxes
    return detector


@pytest.mark.parametrize("seed", range(3))
def test_the_alarm_hears_a_diverged_yolos_and_not_a_sound_one(seed):
    def offsets(boxes: float) -> list[float]:
        torch.manual_seed(seed)
        detector = sees_everywhere(scratch(("a",), 96), boxes)
        return [of_one_image(detector)["offset"] for _ in range(20)]

    def heard(boxes: float) -> list[str]:
        return out_of_range(torch.tensor([offsets(boxes)]).T.numpy())

    assert heard(1.0) == []
    (alarm,) = heard(1000.0)
    assert "box head diverged" in alarm
