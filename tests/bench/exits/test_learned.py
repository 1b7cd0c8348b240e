"""The weights of gates come back from disk bit by bit."""

import numpy as np

from bench.exits.learned import GATES, LearnedGate, load_gates, save_gates


def test_weights_are_read_as_they_were_written(tmp_path):
    rng = np.random.default_rng(0)
    gates = {
        name: LearnedGate(tuple(rng.normal(size=1 + 17 * (exit + 1)) for exit in range(exits)))
        for name, exits in (("learned", 12), ("reinforced", 2))
    }
    save_gates(gates, tmp_path)
    found = load_gates(tmp_path / GATES)
    assert found.keys() == gates.keys()
    for name, gate in gates.items():
        assert len(found[name].weights) == len(gate.weights)
        for mine, theirs in zip(found[name].weights, gate.weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_the_score_is_logistic_in_the_features_so_far():
    gate = LearnedGate((np.array([0.5, 1.0]), np.array([0.0, 2.0, -1.0])))
    assert gate.score(0, np.array([-0.5])) == 0.5
    np.testing.assert_allclose(gate.score(1, np.array([1.0, 1.0])), 1 / (1 + np.exp(-1.0)))
