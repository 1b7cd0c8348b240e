"""The efficiency of a gate is 1 for the oracle, 0 for chance, and nothing where chance says it all."""

import numpy as np
import pytest

from bench.records import Drawn
from bench.routing.controls import gate_efficiency, random_exits
from bench.routing.oracle import oracle
from tests.support.planted import halves, reached


def test_random_exits_are_the_mean_and_the_middle_of_their_draws():
    matches = halves(2)
    worse, better = (reached(matches, np.array(exits)) for exits in ([1, 0], [0, 1]))
    drawn = random_exits(matches, np.array([0, 1]), seed=0, draws=400)
    assert (drawn.low, drawn.high) == (worse, better)
    assert drawn.mean == pytest.approx((worse + better) / 2, abs=0.1 * (better - worse))


def test_the_oracle_as_gate_has_efficiency_one_and_chance_none():
    matches, planted = halves(30), np.arange(30) % 2
    drawn = random_exits(matches, planted, seed=0)
    (best,) = oracle(matches, [1, 5, 9], [planted])
    top = reached(matches, best)
    assert gate_efficiency(reached(matches, planted), drawn, top) == 1
    rng = np.random.default_rng(1)
    chance = [gate_efficiency(reached(matches, rng.permutation(planted)), drawn, top) for _ in range(50)]
    assert np.mean(chance) == pytest.approx(0, abs=0.1)
    assert gate_efficiency(reached(matches, 1 - planted), drawn, top) < min(chance)


def test_no_efficiency_where_the_oracle_is_within_chance():
    drawn = Drawn(mean=0.30, low=0.28, high=0.32)
    assert gate_efficiency(0.31, drawn, oracle=0.34) == pytest.approx(0.25)
    assert gate_efficiency(0.31, drawn, oracle=0.32) is None
    same = Drawn(mean=0.3, low=0.3, high=0.3)
    assert gate_efficiency(0.3, same, oracle=0.3) is None
