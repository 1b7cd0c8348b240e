"""Policies route as written, the search keeps its promise on its own table, and never touches the test split."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bench.measure.accuracy import accuracy, ground_truth
from bench.measure.matching import match
from bench.routing.controls import random_exits
from bench.routing.criteria import NEVER
from bench.routing.policy import Policy, static
from bench.routing.search import grid, search, static_choices
from bench.routing.table import ExitTable
from bench.routing.view import View
from models.detector import Detections
from models.errors import UserError

EXITS, IMAGES = 3, 40


@settings(max_examples=50)
@given(
    scores=arrays.arrays(np.float64, (20, 3), elements=st.floats(0, 1)),
    thresholds=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_routing_a_table_equals_asking_exit_by_exit(scores, thresholds):
    policy = Policy("max_score", thresholds)
    expected = [next((k for k in range(2) if row[k] >= thresholds[k]), 2) for row in scores]
    assert policy.route(scores).tolist() == expected


def unread() -> Detections:
    raise AssertionError("nobody asked for detections")


def test_a_policy_asks_its_criterion_about_the_view():
    view = View(torch.tensor([[0.9, 0.3], [0.1, 0.7]]), unread)
    assert Policy("max_score", (0.69,)).answers(0, view)
    assert not Policy("max_score", (0.71,)).answers(0, view)


def test_a_threshold_of_infinity_looks_at_nothing():
    assert not Policy("expected_objects", (math.inf,)).answers(0, View(torch.zeros(2, 2), unread))


def test_static_policies_always_take_their_exit():
    nothing = View(torch.zeros(1, 2), unread)
    for exit in range(EXITS):
        assert (static(exit, EXITS).route(np.zeros((5, EXITS))) == exit).all()
        taken = next((k for k in range(EXITS - 1) if static(exit, EXITS).answers(k, nothing)), EXITS - 1)
        assert taken == exit
    assert [choice.name for choice in static_choices(3)] == ["exit1", "exit2", "full"]
    assert [choice.name for choice in static_choices(1)] == ["full"]


def test_the_grid_reaches_from_everybody_to_nobody():
    scores = np.random.default_rng(0).random((50, 3))
    combinations = grid(scores, 7)
    assert len(combinations) == 49
    assert (0.0, 0.0) in combinations
    assert (math.inf, math.inf) in combinations


def test_the_grid_of_a_criterion_that_never_lets_anybody_leave_does_not_either():
    scores = np.stack([np.full(20, NEVER), np.linspace(0, 1, 20), np.ones(20)], axis=1)
    assert all((Policy("agreement", thresholds).route(scores) > 0).all() for thresholds in grid(scores, 5))


def world(role: str):
    """40 images with one box; exit 0 finds the box on the images its criterion trusts, the others always."""
    rng = np.random.default_rng(5)
    box = [10.0, 10.0, 60.0, 60.0]
    images = [{"id": i, "width": 100, "height": 100} for i in range(IMAGES)]
    annotations = [
        {"id": i + 1, "image_id": i, "category_id": 1, "bbox": [10, 10, 50, 50], "area": 2500, "iscrowd": 0}
        for i in range(IMAGES)
    ]
    truth = ground_truth({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]})
    easy = np.arange(IMAGES) % 2 == 0

    def found(right: bool, score: float) -> Detections:
        boxes = torch.tensor([box if right else [70.0, 70.0, 90.0, 90.0]])
        return Detections(boxes, torch.tensor([score]), torch.ones(1, dtype=torch.long))

    detections = [[found(exit > 0 or bool(easy[i]), 0.9 - 0.001 * i) for i in range(IMAGES)] for exit in range(EXITS)]
    trust = np.where(easy, 0.9, 0.1)[:, None] + rng.random((IMAGES, EXITS)) * 0.05
    table = ExitTable(role, "hash", detections, {"max_score": trust, "mean_foreground": 1 - trust})
    matches = [match(truth, range(IMAGES), exit) for exit in detections]
    return table, matches, easy


def test_the_search_finds_the_policy_that_was_planted():
    table, matches, easy = world("val")
    (choice,) = search(table, matches, [1, 5, 9], ["max_score", "mean_foreground"], [0.0])
    exits = choice.policy.route(table.scores[choice.policy.criterion])
    assert choice.policy.criterion == "max_score"
    assert choice.chosen_on == "val"
    assert (exits[easy] == 0).all()
    assert (exits[~easy] == 1).all()


def test_every_choice_keeps_its_tolerance_and_looser_ones_cost_no_more():
    table, matches, _ = world("val")
    tolerances, flops = [0.0, 0.1, 0.3, 1.0], np.array([1, 5, 9])
    full = accuracy(matches, np.full(IMAGES, EXITS - 1), full=False).map
    costs = []
    for tolerance, choice in zip(tolerances, search(table, matches, flops, ["max_score"], tolerances), strict=True):
        exits = choice.policy.route(table.scores["max_score"])
        assert accuracy(matches, exits, full=False).map >= (1 - tolerance) * full - 1e-12
        costs.append(flops[exits].mean())
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == 1


def test_random_exits_keep_the_shares_and_lose_to_a_gate_that_knows():
    _, matches, easy = world("val")
    exits = np.where(easy, 0, 2)
    drawn = random_exits(matches, exits, seed=0, draws=50)
    assert accuracy(matches, exits, full=False).map > drawn.high
    assert drawn.low <= drawn.mean <= drawn.high
    always = random_exits(matches, np.full(IMAGES, 2), seed=0, draws=5)
    assert always.low == always.high == accuracy(matches, np.full(IMAGES, 2), full=False).map


def test_thresholds_are_never_chosen_on_test():
    table, matches, _ = world("test")
    with pytest.raises(UserError, match="test split"):
        search(table, matches, [1, 5, 9], ["max_score"], [0.01])


def test_one_exit_needs_no_search():
    table, matches, _ = world("val")
    alone = ExitTable("val", "hash", table.detections[:1], {})
    assert search(alone, matches[:1], [1], [], [0.01]) == []
