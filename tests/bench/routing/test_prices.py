"""The price of a policy is what its images pay one by one, look by look."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.routing.policy import Policy, static
from bench.routing.prices import Look, Prices

costs = st.floats(0, 10)


@st.composite
def worlds(draw):
    """2 to 5 exits: prices, a policy that does not look everywhere, and the scores of some images."""
    exits = draw(st.integers(2, 5))
    row = st.lists(costs, min_size=exits, max_size=exits).map(tuple)
    inner = st.lists(costs, min_size=exits - 1, max_size=exits - 1).map(tuple)
    look = Look(draw(inner), draw(inner))
    flops = draw(st.lists(st.integers(1, 99), min_size=exits, max_size=exits).map(tuple))
    prices = Prices(flops, draw(row), {"c": look}, draw(row | st.just(())))
    thresholds = draw(st.tuples(*[st.floats(0, 1) | st.just(math.inf)] * (exits - 1)))
    scores = draw(st.lists(st.lists(st.floats(0, 1), min_size=exits, max_size=exits), min_size=1, max_size=8))
    return prices, look, Policy("c", thresholds), np.array(scores)


def walked(prices: Prices, look: Look, policy: Policy, scores: np.ndarray) -> tuple[float, int]:
    """ms and FLOPs of one image that goes from exit to exit."""
    spent, mixing = 0.0, prices.mixing or (0.0,) * len(prices.ms)
    for exit, threshold in enumerate(policy.thresholds):
        if threshold == math.inf:
            continue
        if scores[exit] >= threshold:
            return spent + look.leaving[exit] + prices.ms[exit] + mixing[exit], prices.flops[exit]
        spent += look.staying[exit]
    return spent + prices.ms[-1] + mixing[-1], prices.flops[-1]


@given(worlds())
def test_the_mean_over_shares_is_the_mean_over_images(world):
    prices, look, policy, scores = world
    share = np.bincount(policy.route(scores), minlength=len(prices.ms)) / len(scores)
    ms, flops = np.mean([walked(prices, look, policy, row) for row in scores], axis=0)
    assert prices.mean(policy, share, "latency") == pytest.approx(ms)
    assert prices.mean(policy, share, "flops") == pytest.approx(flops)


def test_a_static_exit_looks_at_nothing():
    prices = Prices((1, 2, 3), (4.0, 5.0, 6.0), {}, mixing=(1.0, 1.0, 1.0))
    for exit in range(3):
        assert prices.ms_per_exit(static(exit, 3)).tolist() == [4, 5, 6]


def test_asking_for_a_price_leaves_the_prices_alone():
    prices = Prices((1, 2), (4.0, 5.0), {"c": Look((1.0,), (2.0,))})
    for _ in range(2):
        assert prices.ms_per_exit(Policy("c", (0.5,))).tolist() == [6, 6]
    assert prices.ms == (4.0, 5.0)
