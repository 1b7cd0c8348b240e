"""UCB1 finds planted arms, never stops looking, pays what its theorem allows, and plays on train alone."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.exits.path_costs import CriterionCost, PathCosts
from bench.exits.policy import Policy, static
from bench.measure.exit_table import ExitTable
from bench.routing.bandit import GATES, WEIGHTS, arms_of, regret, settle, ucb1
from models.errors import UserError
from tests.support.planted import halves

IMAGES = 40
PATH_COSTS = PathCosts((1, 5, 10), (1.0, 5.0, 10.0), {"max_score": CriterionCost((0.0, 0.0), (0.0, 0.0))})
STATIC = [static(exit, 3) for exit in range(3)]


def coins(means, images: int, seed: int) -> np.ndarray:
    """Arms paid 1 with these probabilities, otherwise 0."""
    return (np.random.default_rng(seed).random((images, len(means))) < means).astype(float)


def by_hand(paid: np.ndarray, order: np.ndarray) -> list[int]:
    """UCB1 as the paper writes it, from the history of plays alone."""
    arms, taken = paid.shape[1], []
    for t, _ in enumerate(order):
        seen = [[paid[order[i], arm] for i in range(t) if taken[i] == arm] for arm in range(arms)]
        if t < arms:
            taken.append(t)
        else:
            taken.append(int(np.argmax([np.mean(own) + math.sqrt(2 * math.log(t) / len(own)) for own in seen])))
    return taken


@settings(max_examples=30)
@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 1000))
def test_it_plays_what_the_paper_plays(arms, plays, seed):
    paid = np.random.default_rng(seed).random((20, arms))
    order = np.random.default_rng(seed + 1).integers(0, 20, plays)
    assert ucb1(paid, order).tolist() == by_hand(paid, order)


@pytest.mark.parametrize("best", range(4))
def test_a_planted_arm_is_found(best):
    means = np.full(4, 0.4)
    means[best] = 0.8
    taken = ucb1(coins(means, 5000, best), np.arange(5000))
    assert np.bincount(taken, minlength=4).argmax() == best
    assert np.mean(taken[-1000:] == best) > 0.9


def test_regret_stays_within_the_theorem_and_grows_like_a_logarithm():
    """Theorem 1: 8 ln n / gap for each worse arm, and a constant; a game at random would lose 0.225 a play."""
    means, plays = np.array([0.7, 0.4, 0.4, 0.4]), 20_000
    lost = np.mean([regret(paid := coins(means, plays, s), o := np.arange(plays), ucb1(paid, o)) for s in range(5)], 0)
    gaps = 0.7 - means[1:]
    assert lost[-1] <= (8 * math.log(plays) / gaps).sum() + (1 + math.pi**2 / 3) * gaps.sum()
    assert lost[-1] < 0.05 * 0.225 * plays
    early, late = lost[plays // 10] / (plays // 10), (lost[-1] - lost[plays // 2]) / (plays // 2)
    assert late < early / 4, "a play late in the game loses a fraction of an early one"


def test_it_never_stops_looking_so_an_unlucky_start_is_forgiven():
    paid = np.tile([0.9, 0.5], (3000, 1))
    paid[0, 0] = 0.0  # the first and only look at the better arm so far
    taken = ucb1(paid, np.arange(3000))
    assert np.mean(taken[-1000:] == 0) > 0.9
    assert (np.bincount(taken[-1000:], minlength=2) > 0).all()


def test_regret_is_counted_against_the_best_arm_in_hindsight():
    paid = np.array([[1.0, 0.0], [0.0, 0.5], [1.0, 0.25]])
    assert regret(paid, np.array([0, 1, 2]), np.array([1, 1, 0])).tolist() == [1.0, 0.5, 0.5]


@pytest.mark.parametrize("count", [0, 1, 5, 8, 9, 40])
def test_the_arms_are_the_static_exits_and_gates_from_the_first_to_the_last(count):
    gates = [Policy("margin", (0.01 * number, 0.5)) for number in range(count)]
    statics, kept = arms_of(gates, 3)[:3], arms_of(gates, 3)[3:]
    assert statics == STATIC
    assert len(kept) == min(count, GATES)
    at = [gates.index(one) for one in kept]
    assert at == sorted(set(at))
    assert [at[0], at[-1]] == [0, count - 1] if count else not at
    assert not at or max(np.diff(at), default=0) <= 1 + count / GATES


def table(role: str = "train", **scores: np.ndarray) -> ExitTable:
    return ExitTable(role, "h", tuple(range(IMAGES)), [()] * 3, scores)


def test_it_settles_on_the_policy_that_pays_best_at_each_price():
    """`halves`: the first exit is right on half of the images, the second on all. At a price p the first, for a tenth
    of the cost, is paid 0.5 - 0.1 p, the second 1 - 0.5 p, and a gate that knows which is which 1 - 0.3 p."""
    knows = np.where(np.arange(IMAGES) % 2 == 0, 1.0, 0.0)[:, None].repeat(3, axis=1)
    shown, gate = table(max_score=knows), Policy("max_score", (0.5, 0.0))
    for arms, best in ((STATIC, STATIC[1]), ([*STATIC, gate], gate)):
        settled = settle(arms, shown, halves(IMAGES), PATH_COSTS, "flops", seed=0)
        assert len(settled) == len(WEIGHTS)
        assert {one.policy for one, weight in zip(settled, WEIGHTS, strict=True) if weight >= 0.2} == {best}
        for one in settled:
            assert 1 / len(arms) < one.share <= 1
            assert 0 <= one.regret < 0.05
    assert "regret 0.0" in settled[0].note


def test_share_and_regret_are_those_of_rewards_brought_to_what_ucb1_expects():
    """The second exit and the last are right everywhere, so one is always paid half the price more."""
    shown = table(max_score=np.zeros((IMAGES, 3)))
    for one, weight in zip(
        settle(STATIC[1:], shown, halves(IMAGES), PATH_COSTS, "flops", 0, 900), WEIGHTS, strict=True
    ):
        scaled = np.array([[1 + weight / 2, 1.0]]) / (1 + weight)
        share = np.mean(ucb1(scaled, np.zeros(900, int)) == 0)
        assert (one.policy, one.share) == (STATIC[1], pytest.approx(share))
        assert one.regret == pytest.approx((1 - share) * weight / 2)


def test_looks_are_part_of_what_a_policy_costs():
    """Two gates that route alike: the one that looks for longer is never preferred where costs count."""
    knows = np.where(np.arange(IMAGES) % 2 == 0, 1.0, 0.0)[:, None].repeat(3, axis=1)
    path_costs = PathCosts(
        (1, 5, 10),
        (1.0, 5.0, 10.0),
        {"dear": CriterionCost((3, 3), (3, 3)), "max_score": CriterionCost((0, 0), (0, 0))},
    )
    dear, free = Policy("dear", (0.5, 0.0)), Policy("max_score", (0.5, 0.0))
    shown = table(dear=knows, max_score=knows)
    assert settle([dear, free], shown, halves(IMAGES), path_costs, "latency", seed=0)[-1].policy == free
    shares = [one.share for one in settle([dear, free], shown, halves(IMAGES), path_costs, "flops", seed=0)]
    assert shares == pytest.approx([0.5] * len(WEIGHTS), abs=0.05)


def test_one_seed_gives_one_game():
    def game(seed: int):
        return settle(
            STATIC, table(max_score=np.zeros((IMAGES, 3))), halves(IMAGES), PATH_COSTS, "flops", seed, plays=500
        )

    assert game(0) == game(0)
    assert [one.regret for one in game(0)] != [one.regret for one in game(1)]


@pytest.mark.parametrize("role", ["val", "test"])
def test_it_plays_on_train_alone(role):
    with pytest.raises(UserError, match=f"may not play on the {role} split"):
        settle(STATIC, table(role), halves(IMAGES), PATH_COSTS, "flops", seed=0)
