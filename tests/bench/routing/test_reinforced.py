"""The reinforced policy follows the gradient of what it is paid, does what is best where that is known, and is trained
on train alone."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import approx_fprime

from bench.exits.path_costs import CriterionCost, PathCosts
from bench.exits.policy import Policy
from bench.exits.registry import LEARNED
from bench.measure.exit_table import ExitTable
from bench.routing.learned import with_gate
from bench.routing.reinforced import REINFORCED, exchange_rate, expected, reinforce, rl_policy
from models.errors import UserError
from tests.support.planted import HERE, THERE, matched

IMAGES = 300
COSTS = np.array([0.3, 0.6, 1.0])


def table(features: np.ndarray, role: str = "train") -> ExitTable:
    """Exits of which only the features [N, E, F] are known."""
    images, exits, _ = features.shape
    return ExitTable(role, "h", tuple(range(images)), [()] * exits, {}, {}, features)


def stops(features: np.ndarray, rewards: np.ndarray, unseen: np.ndarray | None = None) -> np.ndarray:
    """Where the policy of these features and rewards stops, left to itself, the images of the same or of other ones."""
    shown = table(features if unseen is None else unseen)
    scored = with_gate(shown, reinforce(table(features), rewards), REINFORCED)
    return Policy(REINFORCED, (0.5,) * (shown.exits - 1)).route(scored.scores[REINFORCED])


def told(best: np.ndarray, exits: int, seed: int) -> np.ndarray:
    """Two features per exit: one says, in units and with an offset of its own, whether the exit is the best; the other
    says nothing."""
    rng = np.random.default_rng(seed)
    says = 100 + 7 * ((best[:, None] == np.arange(exits)) + rng.normal(0, 0.05, (len(best), exits)))
    return np.stack([says, rng.normal(0, 1, says.shape)], axis=2)


def ways(logits: np.ndarray, rewards: np.ndarray) -> list[tuple[float, float, np.ndarray]]:
    """Of one image, every way: its probability, its reward, and the gradient of its log probability by the logits."""
    stop = 1 / (1 + np.exp(-logits))
    found = []
    for exit in range(len(rewards)):
        passed, here = np.arange(len(logits)) < exit, np.arange(len(logits)) == exit
        chance = np.prod(1 - stop[passed]) * np.prod(stop[here])
        found.append((chance, rewards[exit], here * (1 - stop) - passed * stop))
    return found


numbers = st.integers(2, 5).flatmap(
    lambda exits: st.tuples(
        st.lists(st.floats(-4, 4), min_size=exits - 1, max_size=exits - 1),
        st.lists(st.floats(-1, 1), min_size=exits, max_size=exits),
    )
)


@given(numbers, st.floats(-2, 2))
def test_the_gradient_is_the_mean_of_what_sampled_reinforce_estimates_whatever_the_baseline(numbers, baseline):
    logits, rewards = map(np.array, numbers)
    value, slope = expected(logits[None], rewards[None])
    assert sum(chance for chance, _, _ in ways(logits, rewards)) == pytest.approx(1)
    assert value[0] == pytest.approx(sum(chance * paid for chance, paid, _ in ways(logits, rewards)))
    estimates = sum(chance * (paid - baseline) * score for chance, paid, score in ways(logits, rewards))
    np.testing.assert_allclose(slope[0], estimates, atol=1e-12)


@given(numbers)
def test_the_gradient_is_that_of_finite_differences(numbers):
    logits, rewards = map(np.array, numbers)
    by_steps = approx_fprime(logits, lambda at: expected(at[None], rewards[None])[0][0], 1e-6)
    np.testing.assert_allclose(expected(logits[None], rewards[None])[1][0], by_steps, atol=1e-5)


@pytest.mark.parametrize("exits", [2, 3, 4])
def test_where_the_features_say_who_should_stop_it_stops_them_there(exits):
    best = np.random.default_rng(exits).integers(0, exits, IMAGES)
    rewards = (best[:, None] == np.arange(exits)) * 0.5
    features = told(best, exits, seed=1)
    assert (stops(features, rewards) == best).mean() > 0.99
    assert (stops(features, rewards, told(best[::-1], exits, seed=2)) == best[::-1]).mean() > 0.99


def test_it_goes_on_at_a_bad_exit_for_the_sake_of_a_later_one():
    """The second exit is worse than the first for everybody, the last much better for some: a greedy one would stop
    all of them at the first."""
    some = np.random.default_rng(0).random(IMAGES) < 0.5
    rewards = np.column_stack([np.full(IMAGES, 0.5), np.full(IMAGES, 0.2), np.where(some, 0.9, 0.1)])
    features = told(np.where(some, 2, 0), 3, seed=1)
    assert (stops(features, rewards) == np.where(some, 2, 0)).mean() > 0.99


@pytest.mark.parametrize("means", [*product((0.3, 0.5, 0.7), repeat=3), (0.69, 0.72, 0.1), (0.4, 0.1, 0.45)])
def test_without_anything_to_go_by_it_takes_the_best_static_exit(means):
    """Features are noise, and what an exit is paid is noise around its mean."""
    rng = np.random.default_rng(0)
    rewards = means + rng.normal(0, 0.05, (IMAGES, 3))
    exits = stops(rng.normal(0, 1, (IMAGES, 3, 4)), rewards, rng.normal(0, 1, (IMAGES, 3, 4)))
    assert np.mean(np.take(means, exits) == max(means)) > 0.95


@pytest.mark.parametrize(("price", "exit"), [(0.0, 2), (100.0, 0)])
def test_what_costs_nothing_is_bought_and_what_costs_too_much_is_not(price, exit):
    quality = np.tile([0.2, 0.5, 0.8], (IMAGES, 1))
    features = np.random.default_rng(0).normal(0, 1, (IMAGES, 3, 2))
    assert (stops(features, quality - price * COSTS) == exit).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_best_exit_behind_bad_ones_is_found(seed):
    """From a coin at every exit, going on past the first looks like a loss, and what lies behind is never learned."""
    means = np.array([0.86, 0.81, 0.26, 0.08, 0.95])
    features = np.random.default_rng(seed).normal(0, 1, (120, 5, 2))
    assert (stops(features, np.tile(means, (120, 1))) == 4).all()


def test_where_all_images_are_alike_it_is_sure_and_its_weights_are_finite():
    features = np.random.default_rng(0).normal(0, 1, (IMAGES, 3, 2))
    learned = reinforce(table(features), np.tile([0.2, 0.5, 0.3], (IMAGES, 1)))
    assert all(np.isfinite(weights).all() for weights in learned.weights)
    scores = with_gate(table(features), learned).scores[LEARNED]
    assert (scores[:, 0] < 0.01).all()
    assert (scores[:, 1] > 0.99).all()


def test_the_dearer_going_on_is_the_earlier_they_stop():
    rng = np.random.default_rng(0)
    hard = rng.random(IMAGES)
    quality = np.column_stack([1 - hard, 1 - hard**2, np.ones(IMAGES)])
    features = np.repeat(hard[:, None, None], 3, axis=1) + rng.normal(0, 0.05, (IMAGES, 3, 1))
    spent = [COSTS[stops(features, quality - price * COSTS)].mean() for price in (0.0, 0.3, 0.7, 10.0)]
    assert spent == sorted(spent, reverse=True)
    assert (spent[0], spent[-1]) == (1.0, COSTS[0])
    assert len(set(spent)) == 4


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_at_the_exchange_rate_the_first_and_the_last_exit_are_paid_alike(quality):
    rate = exchange_rate(np.array([quality, quality]), COSTS)
    if quality[0] >= quality[-1]:
        assert rate == 0
    else:
        assert quality[0] - rate * COSTS[0] == pytest.approx(quality[-1] - rate * COSTS[-1])


def world(role: str = "train"):
    """A box in every image, which the first exit finds on the easy ones and the others always; the features say it."""
    easy = np.random.default_rng(0).random(100) < 0.6
    hit, miss = [(HERE, 0.9)], [(THERE, 0.9)]
    found = [[hit if yes else miss for yes in easy], [hit] * 100, [hit] * 100]
    return table(told(np.where(easy, 0, 1), 3, seed=0), role), matched(np.ones(100, bool), found), easy


@pytest.mark.parametrize("unit", ["latency", "flops"])
def test_the_policy_of_a_detector_stops_where_going_on_buys_nothing(unit):
    shown, matches, easy = world()
    path_costs = PathCosts((3, 6, 10), (1.0, 2.0, 4.0), {LEARNED: CriterionCost((0.1, 0.1), (0.1, 0.1))})
    scores = with_gate(shown, rl_policy(shown, matches, path_costs, unit), REINFORCED).scores[REINFORCED]
    assert (Policy(REINFORCED, (0.5, 0.5)).route(scores) == np.where(easy, 0, 1)).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (scores[:, -1] == 0).all()


def test_the_same_table_gives_the_same_policy():
    features, rewards = told(np.arange(40) % 3, 3, seed=0), np.random.default_rng(0).random((40, 3))
    one, other = (reinforce(table(features), rewards) for _ in range(2))
    for mine, theirs in zip(one.weights, other.weights, strict=True):
        assert (mine == theirs).all()


@pytest.mark.parametrize("role", ["val", "test"])
def test_it_is_trained_on_train_alone(role):
    with pytest.raises(UserError, match=f"may not be trained on the {role} split"):
        reinforce(table(np.zeros((4, 3, 2)), role), np.zeros((4, 3)))
