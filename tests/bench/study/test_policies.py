"""Every policy of a real detector is chosen on val and has a criterion; with FLOPs as cost a seed gives one choice."""

from dataclasses import replace

import numpy as np
import pytest

from bench.accuracy.coco import accuracy
from bench.exits.path_costs import CriterionCost, PathCosts
from bench.exits.policy import Policy, static
from bench.exits.registry import CRITERIA, LEARNED
from bench.measure.execution import execute
from bench.measure.exit_table import evaluate, exit_table
from bench.routing.reinforced import REINFORCED
from bench.routing.search import Tried
from bench.spec import Measure, read
from bench.study import policies as module
from bench.study.policies import for_tolerances, select_policies
from models.errors import UserError
from tests.support import small

pytestmark = pytest.mark.slow

FLOPS = (100, 300, 400)
DATA = small.data(train=8, val=6, test=1)
MEASURE = Measure(
    warmup=1,
    tolerances=(0.0, 0.5),
    budgets=("0.00035MFLOPs", "0.00001MFLOPs"),
    risks=(0.9,),
    delta=0.5,
    cost="flops",
    gate_images=5,
)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    return small.deployed(tmp_path_factory.mktemp("choose"))


@pytest.fixture(scope="module")
def chosen(deployed):
    return select_policies(deployed, DATA, FLOPS, MEASURE, seed=0)


def test_one_policy_for_every_tolerance_and_every_budget_that_can_be_kept(chosen):
    names = [one.name for one in chosen.policies]
    assert names[:3] == ["tol0", "tol50", "within0.00035MFLOPs"]
    assert set(names[3:]) <= {"risk90"}
    assert all(one.policy.criterion and one.chosen_on == "val" and "on val" in one.note for one in chosen.policies)
    assert all(
        (one.policy.gate is chosen.learned[LEARNED]) == (one.policy.criterion == LEARNED) for one in chosen.policies
    )


def test_what_is_chosen_keeps_its_word_on_val(chosen):
    matches = evaluate(chosen.val, DATA.val.coco())
    full = accuracy(matches, np.full(6, 2), full=False).map or 0.0
    for one, floor, most in zip(chosen.policies, (1.0, 0.5, 0.0), (400, 400, 350), strict=False):
        exits = one.policy.route(chosen.val.scores[one.policy.criterion])
        assert (accuracy(matches, exits, full=False).map or 0.0) >= floor * full - 1e-12
        assert np.take(FLOPS, exits).mean() <= most


def test_thresholds_lie_between_the_scores_of_val(chosen):
    """Not of train, on which the gate learns and the tests of risk are ordered."""
    for one in chosen.policies[:3]:
        scores = chosen.val.scores[one.policy.criterion]
        for threshold, column in zip(one.policy.thresholds, scores.T, strict=False):
            ordered = np.unique(column[column >= 0])
            cuts = [0.0, *((ordered[1:] + ordered[:-1]) / 2), np.inf]
            assert threshold in cuts


def test_every_criterion_has_a_score_and_a_price(chosen):
    assert set(chosen.val.scores) == set(chosen.path_costs.criterion_costs) == {*CRITERIA, LEARNED}
    assert chosen.path_costs.flops == FLOPS
    assert all(ms > 0 for ms in chosen.path_costs.ms)
    assert [len(weights) for weights in chosen.learned[LEARNED].weights] == [18, 35]


def test_one_seed_gives_one_choice_whatever_the_clock_says(deployed, chosen, monkeypatch):
    def other_clock(deployed, images, flops, criteria, **_):
        return PathCosts(
            tuple(flops), (9.0, 5.0, 1.0), {name: CriterionCost((7.0, 7.0), (7.0, 7.0)) for name in criteria}
        )

    monkeypatch.setattr(module, "measure_path_costs", other_clock)
    again = select_policies(deployed, DATA, FLOPS, MEASURE, seed=0)
    for one, other in zip(chosen.policies, again.policies, strict=True):
        assert (one.name, one.policy.criterion, one.policy.thresholds) == (
            other.name,
            other.policy.criterion,
            other.policy.thresholds,
        )


@pytest.fixture(scope="module")
def with_rl_policies(deployed):
    asked = MEASURE.model_copy(update={"rl_policies": ("reinforced", "ucb")})
    return select_policies(deployed, DATA, FLOPS, asked, seed=0)


def test_rl_policies_add_a_policy_for_every_tolerance_and_change_no_other(chosen, with_rl_policies):
    policies = {one.name: one.policy for one in with_rl_policies.policies}
    names = list(policies)[len(chosen.policies) :]
    assert names[:2] == ["reinforced-tol0", "reinforced-tol50"]
    assert set(names[2:]) <= {"ucb-tol0", "ucb-tol50"}
    for one in chosen.policies:
        assert policies[one.name].criterion == one.policy.criterion
        assert policies[one.name].thresholds == one.policy.thresholds
    assert all(policies[name].criterion == REINFORCED for name in names[:2])
    assert all(policies[name].criterion in {*CRITERIA, LEARNED} for name in names[2:])
    assert (
        set(with_rl_policies.val.scores)
        == set(with_rl_policies.path_costs.criterion_costs)
        == {*CRITERIA, LEARNED, REINFORCED}
    )


def test_what_rl_policies_decide_is_what_the_detector_does(deployed, with_rl_policies):
    """At thresholds of their own making too: val's images are few, and may all leave alike."""
    table = with_rl_policies.scored(exit_table(deployed, DATA.val))
    np.testing.assert_array_equal(table.scores[REINFORCED], with_rl_policies.val.scores[REINFORCED])
    own = tuple(float(np.median(column)) for column in table.scores[REINFORCED].T[:-1])
    for policy in (
        *(one.policy for one in with_rl_policies.policies),
        Policy(REINFORCED, own, with_rl_policies.learned[REINFORCED]),
    ):
        exits = policy.route(table.scores[policy.criterion])
        executed = execute(deployed, policy, DATA.val, table, exits)
        assert (executed.exits_differ, executed.detections_differ) == (0, 0)
    assert len(set(exits)) > 1


def test_a_static_exit_is_no_choice_of_an_rl_policy():
    """Two exits of which the first does as well: the cheapest within any tolerance looks at nothing."""
    costs = {"flops": np.array([1.0, 2.0]), "latency": np.ones(2)}
    tried = Tried("val", [static(0, 2), Policy("margin", (0.5,))], np.ones(2), costs, 1.0)
    assert for_tolerances("ucb", tried, MEASURE) == []
    dearer = replace(tried, costs={**costs, "flops": np.array([3.0, 2.0])})
    assert [one.name for one in for_tolerances("ucb", dearer, MEASURE)] == ["ucb-tol0", "ucb-tol50"]


def test_a_candidate_that_names_its_criteria_is_asked_no_others(tmp_path, monkeypatch):
    monkeypatch.setattr(
        module,
        "measure_path_costs",
        lambda deployed, images, flops, criteria, **_: PathCosts(
            tuple(flops), (1.0, 2.0, 3.0), {name: CriterionCost((0.0, 0.0), (0.0, 0.0)) for name in criteria}
        ),
    )
    chosen = select_policies(small.deployed(tmp_path, ("margin",)), DATA, FLOPS, MEASURE, seed=0)
    assert {one.policy.criterion for one in chosen.policies} == {"margin"}


def test_prices_and_thresholds_never_see_a_test_image(deployed, monkeypatch):
    class Unseen:
        def __getattr__(self, name):
            raise AssertionError("the test split was looked at")

    kept = DATA.test
    object.__setattr__(DATA, "test", Unseen())
    try:
        assert select_policies(deployed, DATA, FLOPS, MEASURE, seed=0).policies
    finally:
        object.__setattr__(DATA, "test", kept)


def test_an_rl_policy_that_is_none_is_named():
    with pytest.raises(UserError, match=r"measure\.rl_policies.*'reinforced' or 'ucb'"):
        read("smoke", None, {"measure.rl_policies": ["bandit"]})
