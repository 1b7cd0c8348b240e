"""Policies route as written, look at nothing they need not, and a gate that knows beats the same exits at random."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bench.exits.policy import Policy, static
from bench.exits.view import View
from bench.routing.controls import random_exits
from bench.routing.search import static_policies
from models.detector import Detections
from tests.support.planted import halves, reached

EXITS = 3
CODE = torch.zeros(2, 4)


@settings(max_examples=50)
@given(
    scores=arrays.arrays(np.float64, (20, 3), elements=st.floats(0, 1)),
    thresholds=st.tuples(*[st.floats(0, 1) | st.just(math.inf)] * 2),
)
def test_routing_a_table_equals_asking_exit_by_exit(scores, thresholds):
    policy = Policy("max_score", thresholds)
    expected = [next((k for k in range(2) if row[k] >= thresholds[k]), 2) for row in scores]
    assert policy.route(scores).tolist() == expected


def unread() -> Detections:
    raise AssertionError("nobody asked for detections")


def test_a_policy_asks_its_criterion_about_the_view():
    view = View(torch.tensor([[0.9, 0.3], [0.1, 0.7]]), CODE, unread)
    assert Policy("max_score", (0.69,)).answers(0, view)
    assert not Policy("max_score", (0.71,)).answers(0, view)


def test_a_learned_criterion_comes_with_the_policy():
    view = View(torch.zeros(2, 2), CODE, unread)
    policy = Policy("learned", (0.5, 0.5), gate=lambda view: 0.4 + 0.2 * view.exit)
    assert not policy.answers(0, view)
    assert policy.answers(1, View(torch.zeros(2, 2), CODE, unread, previous=view))


def test_a_threshold_of_infinity_looks_at_nothing():
    assert not Policy("expected_objects", (math.inf,)).answers(0, View(torch.zeros(2, 2), CODE, unread))


def test_views_know_which_exit_they_are():
    first = View(torch.zeros(2, 2), CODE, unread)
    second = View(torch.zeros(2, 2), CODE, unread, previous=first)
    assert [first.exit, second.exit, View(torch.zeros(2, 2), CODE, unread, previous=second).exit] == [0, 1, 2]


def test_static_policies_always_take_their_exit():
    nothing = View(torch.zeros(1, 2), CODE, unread)
    for exit in range(EXITS):
        assert (static(exit, EXITS).route(np.zeros((5, EXITS))) == exit).all()
        taken = next((k for k in range(EXITS - 1) if static(exit, EXITS).answers(k, nothing)), EXITS - 1)
        assert taken == exit


@pytest.mark.parametrize(("exits", "names"), [(1, ["full"]), (2, ["exit1", "full"]), (3, ["exit1", "exit2", "full"])])
def test_there_is_one_static_choice_per_exit(exits, names):
    policies = static_policies(exits)
    assert [chosen.name for chosen in policies] == names
    assert [int(chosen.policy.route(np.zeros((1, exits)))[0]) for chosen in policies] == list(range(exits))


def test_random_exits_keep_the_shares_and_lose_to_a_gate_that_knows():
    matches, last = halves(40), np.full(40, 2)
    exits = np.where(np.arange(40) % 2 == 0, 0, 2)
    drawn = random_exits(matches, exits, seed=0, draws=50)
    assert reached(matches, exits) > drawn.high
    assert drawn.low <= drawn.mean <= drawn.high
    always = random_exits(matches, last, seed=0, draws=5)
    assert always.low == always.high == reached(matches, last)
