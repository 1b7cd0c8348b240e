"""The price of a policy is what its images pay one by one, look by look."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.exits.path_costs import CriterionCost, PathCosts
from bench.exits.policy import Policy, static

costs = st.floats(0, 10)


@st.composite
def worlds(draw):
    """2 to 5 exits: path_costs, a policy that does not look everywhere, and the scores of some images."""
    exits = draw(st.integers(2, 5))
    row = st.lists(costs, min_size=exits, max_size=exits).map(tuple)
    inner = st.lists(costs, min_size=exits - 1, max_size=exits - 1).map(tuple)
    look = CriterionCost(draw(inner), draw(inner))
    flops = draw(st.lists(st.integers(1, 99), min_size=exits, max_size=exits).map(tuple))
    path_costs = PathCosts(flops, draw(row), {"c": look}, draw(row | st.just(())))
    thresholds = draw(st.tuples(*[st.floats(0, 1) | st.just(math.inf)] * (exits - 1)))
    scores = draw(st.lists(st.lists(st.floats(0, 1), min_size=exits, max_size=exits), min_size=1, max_size=8))
    return path_costs, look, Policy("c", thresholds), np.array(scores)


def walked(path_costs: PathCosts, look: CriterionCost, policy: Policy, scores: np.ndarray) -> tuple[float, float, int]:
    """ms for looks, ms for stages alone, and the exit, of one image that goes from exit to exit."""
    looked = 0.0
    for exit, threshold in enumerate(policy.thresholds):
        if threshold == math.inf:
            continue
        if scores[exit] >= threshold:
            return looked + look.leaving[exit], path_costs.ms[exit], exit
        looked += look.staying[exit]
    return looked, path_costs.ms[-1], len(path_costs.ms) - 1


@given(worlds())
def test_the_mean_over_shares_is_the_mean_over_images(world):
    path_costs, look, policy, scores = world
    exits, count = policy.route(scores), len(path_costs.ms)
    mixing, scale = path_costs.switch_cost or (0.0,) * count, count / (count - 1)
    share = np.bincount(exits, minlength=count) / len(scores)
    each = [walked(path_costs, look, policy, row) for row in scores]
    ms = np.mean([a + b + mixing[exit] * np.mean(exits != exit) * scale for a, b, exit in each])
    assert path_costs.mean(policy, share, "latency") == pytest.approx(ms)
    assert path_costs.mean(policy, share, "flops") == pytest.approx(
        np.mean([path_costs.flops[exit] for *_, exit in each])
    )


def test_company_costs_what_was_measured_where_shares_are_equal_and_nothing_alone():
    path_costs = PathCosts((1, 2, 3), (4.0, 5.0, 6.0), {}, switch_cost=(0.3, 0.2, 0.1))
    assert path_costs.mixed_traffic_ms(np.full(3, 1 / 3)) == pytest.approx((4.3, 5.2, 6.1))
    for exit in range(3):
        assert path_costs.mixed_traffic_ms(np.eye(3)[exit])[exit] == (4, 5, 6)[exit]


def test_a_static_exit_looks_at_nothing():
    path_costs = PathCosts((1, 2, 3), (4.0, 5.0, 6.0), {}, switch_cost=(1.0, 1.0, 1.0))
    for exit in range(3):
        assert path_costs.criterion_ms(static(exit, 3)).tolist() == [0, 0, 0]
        assert path_costs.mean(static(exit, 3), np.eye(3)[exit], "latency") == path_costs.ms[exit]


def test_asking_for_a_price_leaves_the_prices_alone():
    path_costs = PathCosts((1, 2), (4.0, 5.0), {"c": CriterionCost((1.0,), (2.0,))})
    for _ in range(2):
        assert path_costs.criterion_ms(Policy("c", (0.5,))).tolist() == [2, 1]
    assert path_costs.ms == (4.0, 5.0)
