"""The oracle finds what was planted, keeps its budget, and never falls below what it is measured against."""

from itertools import product

import numpy as np
import pytest

from bench.routing.oracle import alone, oracle, spend
from tests.support.planted import HERE, THERE, halves, matched, noisy, reached


def test_the_planted_exits_are_found_from_any_gate_of_their_cost():
    matches, planted = halves(24), np.arange(24) % 2
    gates = [planted, np.random.default_rng(3).permutation(planted)]
    for exits in oracle(matches, [1, 5, 9], gates):
        assert exits.tolist() == planted.tolist()
        assert reached(matches, exits) == 1


def test_images_without_boxes_leave_where_no_false_alarm_is_raised():
    boxes = np.arange(20) < 10
    late = [[(HERE, 0.5 + 0.01 * i)] if boxes[i] else [] for i in range(20)]
    first = [one or [(THERE, 0.9)] for one in late]
    (exits,) = oracle(matched(boxes, [first, late]), [1, 3], [np.where(boxes, 1, 0)])
    assert exits.tolist() == np.where(boxes, 0, 1).tolist()


@pytest.mark.parametrize("rounds", [0, 4])
def test_no_result_is_below_its_gate_or_a_static_exit(rounds, monkeypatch):
    monkeypatch.setattr("bench.routing.oracle.ROUNDS", rounds)
    matches, flops, rng = noisy(40, seed=1), np.array([2, 5, 9]), np.random.default_rng(2)
    gates = [rng.choice(3, 40, p=p) for p in ((0.8, 0.1, 0.1), (0, 0.1, 0.9), (0.4, 0.4, 0.2), (0.1, 0.8, 0.1))]
    for gate, exits in zip(gates, oracle(matches, flops, gates), strict=True):
        assert flops[exits].sum() <= flops[gate].sum()
        within = [np.full(40, exit) for exit in range(3) if 40 * flops[exit] <= flops[gate].sum()]
        assert reached(matches, exits) >= max(reached(matches, other) for other in (gate, *within))


def test_a_larger_budget_never_reaches_less():
    matches, flops = noisy(16, seed=0), np.array([2, 5, 9])
    gates = [np.where(np.arange(16) < late, 1, 0) for late in reversed(range(17))]
    found = [reached(matches, exits) for exits in oracle(matches, flops, gates)]
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("seed", range(4))
def test_on_few_images_it_is_close_to_the_best_of_all_routings(seed):
    matches, flops, gate = noisy(8, seed)[1:], np.array([2, 5]), np.arange(8) % 2
    every = [np.array(exits) for exits in product(range(2), repeat=8)]
    best = max(reached(matches, exits) for exits in every if flops[exits].sum() <= flops[gate].sum())
    (exits,) = oracle(matches, flops, [gate])
    assert reached(matches, exits) >= 0.95 * best


def test_an_image_without_boxes_is_judged_by_its_false_alarms():
    boxes, exits = np.arange(4) < 3, np.zeros(4, int)
    hits = [[(HERE, 0.5)]] * 3
    matches = matched(boxes, [[*hits, []], [*hits, [(THERE, 0.9)]], [*hits, [(THERE, 0.1)]]])
    silent, above, below = alone(matches, exits)[3]
    assert silent == below == 1 > above
    assert (alone(matches, exits)[:3] == 1).all()


def test_a_budget_is_spent_on_what_is_worth_most_for_its_cost():
    value = np.array([[0.0, 3.0], [0.0, 1.0], [0.0, 2.0], [-np.inf, 0.1]])
    costs = np.array([1, 4])
    assert spend(value, costs, 16).tolist() == [1, 1, 1, 1]
    assert spend(value, costs, 13).tolist() == [1, 0, 1, 1]
    assert spend(value, costs, 12).tolist() == [1, 0, 0, 1]
    assert spend(np.array([[0.0, 1.0]] * 4), costs, 11).sum() == 2, "equal images share what is left"
