"""The learned gate knows what can be known, says the same online as in the table, and is trained on train alone."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import approx_fprime

from bench.exits.learned import LearnedGate
from bench.exits.policy import Policy
from bench.exits.registry import LEARNED
from bench.measure.exit_table import ExitTable, exit_table
from bench.routing.auroc import areas
from bench.routing.learned import PENALTY, learn, with_gate
from bench.study.study import few_threads
from models.errors import UserError
from tests.support import small
from tests.support.planted import HERE, matched

IMAGES = 200


def planted(seed: int, told: float, role: str = "train", easy: np.ndarray | None = None):
    """A box in every image; the first exit finds it on the easy ones, the second and the last always. Of the first
    exit's five features one is shifted by `told` standard deviations on easy images; the others say nothing."""
    rng = np.random.default_rng(seed)
    easy = rng.random(IMAGES) < 0.6 if easy is None else easy
    features = rng.normal(3.0, [1.0, 10.0, 0.01, 2.0, 1.0], (IMAGES, 3, 5))
    features[:, 0, 1] += 10 * told * easy
    features[:, :, 4] = 7.0  # constant: its spread is none to divide by
    found = [[(HERE, 0.9)]] * IMAGES
    matches = matched(
        np.ones(IMAGES, bool), [[one if yes else [] for one, yes in zip(found, easy, strict=True)], found, found]
    )
    empty = [[()] * IMAGES] * 3
    return ExitTable(role, "h", tuple(range(IMAGES)), empty, {}, {}, features), matches, easy


def area(told: float) -> float:
    """The gate's AUROC at the first exit, on images that it was not trained on."""
    gate = learn(*planted(0, told)[:2])
    table, _, easy = planted(1, told, "val")
    scores = with_gate(table, gate).scores[LEARNED][:, 0]
    return float(areas(scores, easy, np.ones((1, IMAGES), int))[0])


def test_it_knows_what_the_features_say_and_nothing_else():
    assert area(told=8.0) > 0.999
    assert 0.7 < area(told=1.2) < 0.9  # two normal distributions 1.2 apart: 0.80
    assert abs(area(told=0.0) - 0.5) < 0.13  # three standard errors


def test_it_is_the_optimum_of_the_penalised_likelihood():
    table, matches, easy = planted(0, 1.0)
    seen = table.features[:, 0]
    middle, spread = seen.mean(axis=0), np.where(seen.std(axis=0) < 1e-9, 1.0, seen.std(axis=0))

    def loss(standardised):
        logits = standardised[0] + (seen - middle) / spread @ standardised[1:]
        likelihood = np.where(easy, -np.logaddexp(0, -logits), -np.logaddexp(0, logits))
        return PENALTY / 2 * (standardised[1:] ** 2).sum() - likelihood.mean()

    weights = learn(table, matches).weights[0]
    standardised = np.r_[weights[0] + weights[1:] @ middle, weights[1:] * spread]
    assert np.abs(approx_fprime(standardised, loss, 1e-7)).max() < 1e-3
    assert np.abs(approx_fprime(standardised + 0.1, loss, 1e-7)).max() > 1e-2


def test_it_is_the_logistic_regression_of_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    table, matches, easy = planted(0, 1.0)
    seen = table.features[:, 0, :4]
    scaled = (seen - seen.mean(axis=0)) / seen.std(axis=0)
    theirs = linear_model.LogisticRegression(C=1 / (PENALTY * IMAGES), tol=1e-9, max_iter=1000).fit(scaled, easy)
    ours = with_gate(table, learn(table, matches)).scores[LEARNED][:, 0]
    np.testing.assert_allclose(ours, theirs.predict_proba(scaled)[:, 1], atol=1e-3)


@pytest.mark.parametrize(("easy", "score"), [(True, 1.0), (False, 0.0)])
def test_where_all_images_are_alike_it_says_so_with_finite_weights(easy, score):
    table, matches, _ = planted(0, 1.0, easy=np.full(IMAGES, easy))
    gate = learn(table, matches)
    assert all(np.isfinite(weights).all() for weights in gate.weights)
    np.testing.assert_allclose(with_gate(table, gate).scores[LEARNED][:, 0], score, atol=1e-3)


def test_the_same_table_gives_the_same_gate():
    one, other = (learn(*planted(0, 1.0)[:2]) for _ in range(2))
    for mine, theirs in zip(one.weights, other.weights, strict=True):
        assert (mine == theirs).all()


@pytest.mark.parametrize("role", ["val", "test"])
def test_it_is_trained_on_train_alone(role):
    table, matches, _ = planted(0, 1.0, role)
    with pytest.raises(UserError, match=f"may not be trained on the {role} split"):
        learn(table, matches)


@given(st.integers(0, 7), st.integers(0, 100))
def test_a_score_does_not_depend_on_where_its_numbers_lie_in_memory(offset, seed):
    rng = np.random.default_rng(seed)
    gate, seen = LearnedGate((rng.normal(size=35),)), rng.normal(size=34)
    elsewhere = np.empty(64)[offset : offset + 34]
    elsewhere[:] = seen
    assert gate.score(0, elsewhere) == gate.score(0, seen)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A real detector, its table, and a gate whose weights make every image's score another one."""
    deployed = small.deployed(tmp_path_factory.mktemp("learned"))
    split = small.data().val
    table = exit_table(deployed, split)
    rng, count = np.random.default_rng(0), table.features.shape[2]
    weights = [rng.normal(0, 1, 1 + count), rng.normal(0, 1, 1 + 2 * count)]
    for exit, one in enumerate(weights):
        seen = table.features[:, : exit + 1].reshape(len(split), -1)
        one[1:] /= np.maximum(seen.std(axis=0), 1e-3) * 5
        one[0] = -np.median(seen @ one[1:])
    gate = LearnedGate(tuple(weights))
    with few_threads(deployed):  # as the table was made: how a sum is shared out moves its last bits
        yield deployed, split, gate, with_gate(table, gate).scores[LEARNED]


def test_online_it_says_bit_by_bit_what_the_table_says(world):
    deployed, split, gate, scores = world
    assert all(len(np.unique(scores[:, exit])) == len(split) for exit in (0, 1))
    for index in range(len(split)):
        online = deployed.every_exit(split.image(index), lambda view: gate(view) if view.exit < 2 else 0.0)
        assert online == scores[index].tolist()


def test_the_conditional_path_leaves_at_the_very_score_of_the_table(world):
    deployed, split, gate, scores = world
    for index in range(2):
        for exit in (0, 1):
            for threshold, taken in ((scores[index, exit], exit), (np.nextafter(scores[index, exit], math.inf), 2)):
                thresholds = [math.inf, math.inf]
                thresholds[exit] = threshold
                assert deployed.detect(split.image(index), Policy(LEARNED, tuple(thresholds), gate)).exit == taken


def test_a_gate_leaves_the_other_scores_of_a_table_alone(world):
    table, matches, _ = planted(0, 1.0)
    table = replace(table, scores={"max_score": np.ones((IMAGES, 3))})
    more = with_gate(table, learn(table, matches))
    assert set(more.scores) == {"max_score", LEARNED}
    assert set(table.scores) == {"max_score"}
    assert (more.scores[LEARNED][:, -1] == 0).all()
