"""The promise is kept: exactly where it can be computed, and over many draws of val from a known population."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from bench.exits.path_costs import CriterionCost, PathCosts
from bench.exits.policy import Policy
from bench.measure.exit_table import ExitTable
from bench.routing import risk
from bench.routing.risk import STEPS, controlled, losses, p_value, sequence
from models.errors import UserError
from tests.support.planted import halves, noisy

PATH_COSTS = PathCosts((1, 5, 9), (1.0, 5.0, 9.0), {"margin": CriterionCost((0.0, 0.0), (0.0, 0.0))})


def by_hand(tenths: int, images: int, epsilon: float) -> float:
    """Hoeffding's and Bentkus' bounds written out, for losses that add up to so many tenths."""
    mean, few = tenths / 10 / images, range(-(-tenths // 10) + 1)
    tail = sum(math.comb(images, k) * epsilon**k * (1 - epsilon) ** (images - k) for k in few)
    ratio = (epsilon / mean) ** mean if mean else 1.0
    hoeffding = (ratio * ((1 - epsilon) / (1 - mean)) ** (1 - mean)) ** images
    return min(1.0, hoeffding, math.e * tail)


@given(st.integers(1, 300), st.floats(0, 0.99), st.floats(0.001, 0.5))
def test_the_p_value_is_the_smaller_bound(images, share, epsilon):
    tenths = int(10 * images * share * epsilon)
    found = p_value(tenths / 10 / images, images, epsilon)
    assert found == pytest.approx(by_hand(tenths, images, epsilon), rel=1e-6, abs=1e-12)


def test_p_values_that_are_known():
    assert p_value(0.0, 100, 0.02) == pytest.approx(0.98**100)
    assert p_value(0.02, 100, 0.02) == p_value(0.5, 100, 0.02) == 1
    assert p_value(0.0, 1, 0.5) == 0.5


@given(st.integers(1, 300), st.floats(0, 1), st.floats(0, 1), st.floats(0.001, 0.5), st.floats(0.001, 0.5))
def test_a_larger_loss_or_a_smaller_allowance_is_never_more_significant(images, mean, other, epsilon, narrower):
    low, high = sorted((mean, other))
    assert p_value(low, images, epsilon) <= p_value(high, images, epsilon) + 1e-12
    small, large = sorted((epsilon, narrower))
    assert p_value(mean, images, large) <= p_value(mean, images, small) + 1e-12


@pytest.mark.parametrize("images", [20, 100, 400])
@pytest.mark.parametrize("epsilon", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("delta", [0.05, 0.1, 0.3])
def test_a_loss_of_epsilon_is_let_through_in_no_more_than_delta_of_the_draws(images, epsilon, delta):
    hits = np.arange(images + 1)
    passed = np.array([p_value(k / images, images, epsilon) <= delta for k in hits])
    assert binom.pmf(hits, images, epsilon)[passed].sum() <= delta


@pytest.mark.parametrize("seed", range(3))
def test_losses_are_shares_and_the_last_exit_loses_nothing(seed):
    loss = losses(noisy(50, seed))
    assert loss.shape == (50, 3)
    assert ((loss >= 0) & (loss <= 1)).all()
    assert (loss[:, -1] == 0).all()
    assert 0 < loss[:, 1].mean() < loss[:, 0].mean()


def test_what_an_exit_finds_alone_makes_up_for_nothing():
    """The first exit finds the even images; against itself as the last exit, one that finds the odd ones loses all."""
    even, full, _ = halves(10)
    assert losses([even, full])[:, 0].tolist() == [0, 1] * 5
    assert (losses([full, even]) == 0).all()


@pytest.fixture
def plain(monkeypatch):
    """Quality in place of matches: what F1 makes of boxes is tested elsewhere."""
    monkeypatch.setattr(risk, "f1", lambda quality: quality)


def draw(rng: np.random.Generator, images: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Scores [N, 3] in [0, 1] and every exit's quality: the first exit fails with probability (1 - s)^3 / 2 where it
    scores s, the second with half of that."""
    scores, luck = rng.random((images, 3)), rng.random((images, 3))
    lost = (1 - scores) ** 3 / 2 * [1.0, 0.5, 0.0]
    return scores, list(np.where(luck < lost, 0.0, 1.0).T)


def true_risk(policy: Policy) -> float:
    """The policy's risk over the whole population, by integration: (1 - s)^3 / 2 from a threshold up, times what is
    left after the exit before."""
    if policy.criterion is None:
        return 0.0
    first, second = (min(threshold, 1.0) for threshold in policy.thresholds)
    return (1 - first) ** 4 / 8 + first * (1 - second) ** 4 / 16


def made(role: str, scores: np.ndarray) -> ExitTable:
    return ExitTable(role, "h", tuple(range(len(scores))), [()] * 3, {"margin": scores})


def test_the_promise_is_kept_and_it_saves(plain):
    rng, epsilon, delta, draws, images = np.random.default_rng(0), 0.03, 0.1, 400, 300
    scores, quality = draw(rng, 500)
    order = sequence(made("train", scores), quality, PATH_COSTS, ["margin"], "flops")
    broken = naive = 0
    costs = []
    for _ in range(draws):
        scores, quality = draw(rng, images)
        table = made("val", scores)
        kept = controlled(order, table, quality, epsilon, delta).policy
        broken += true_risk(kept) > epsilon
        exits = kept.route(scores) if kept.criterion else np.full(images, 2)
        costs.append(np.take(PATH_COSTS.flops, exits).mean())
        seen = [np.mean(1 - np.stack(quality, 1)[np.arange(images), one.route(scores)]) for one in order]
        naive += true_risk(order[max((k for k, loss in enumerate(seen) if loss <= epsilon), default=0)]) > epsilon
    assert broken / draws <= delta + 3 * math.sqrt(delta * (1 - delta) / draws)
    assert naive / draws > 0.3, "without the test the promise is broken often: it is not kept by luck"
    assert np.mean(costs) < 0.8 * PATH_COSTS.flops[-1]
    assert max(costs) <= PATH_COSTS.flops[-1]


def test_the_order_goes_from_safe_to_cheap(plain):
    scores, quality = draw(np.random.default_rng(0), 500)
    order = sequence(made("train", scores), quality, PATH_COSTS, ["margin"], "latency")
    exits = [policy.route(scores) for policy in order]
    loss = [np.mean(1 - np.stack(quality, 1)[np.arange(500), one]) for one in exits]
    cost = [np.take(PATH_COSTS.ms, one).mean() for one in exits]
    assert 10 < len(order) <= STEPS
    assert loss == sorted(loss)
    assert cost == sorted(cost, reverse=True)
    assert loss[0] == 0
    assert cost[-1] == 1.0


def test_it_stops_before_the_first_that_fails_though_a_later_one_would_pass(plain):
    scores = np.linspace(0, 1, 100)[:, None].repeat(3, axis=1)
    quality = [np.where(scores[:, 0] < 0.5, 0.0, 1.0), np.ones(100), np.ones(100)]
    safe, unsafe, safer = (Policy("margin", (cut, math.inf)) for cut in (0.6, 0.2, 0.55))
    found = controlled([safe, unsafe, safer], made("val", scores), quality, 0.05, 0.1)
    assert found.policy is safe
    assert (found.name, found.chosen_on) == ("risk5", "val")
    assert "with probability 0.9 the mean F1 lost against the last exit is at most 0.05" in found.note


def test_without_enough_images_everybody_goes_to_the_last_exit(plain):
    scores = np.ones((20, 3))
    found = controlled([Policy("margin", (0.5, 0.5))], made("val", scores), [np.ones(20)] * 3, 0.02, 0.1)
    assert found.policy.criterion is None
    assert (found.policy.route(scores) == 2).all()
    assert "no policy is shown to keep the promise" in found.note


@pytest.mark.parametrize("role", ["val", "test"])
def test_the_order_comes_from_train_alone(plain, role):
    scores, quality = draw(np.random.default_rng(0), 10)
    with pytest.raises(UserError, match=f"may not come from the {role} split"):
        sequence(made(role, scores), quality, PATH_COSTS, ["margin"], "flops")


def test_risk_is_never_controlled_on_test(plain):
    scores, quality = draw(np.random.default_rng(0), 10)
    with pytest.raises(UserError, match="test split"):
        controlled([], made("test", scores), quality, 0.02, 0.1)
