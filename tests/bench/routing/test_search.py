"""The search tries the thresholds that matter and finds what brute force finds; its frontier is a convex hull."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bench.exits.budget import parse
from bench.exits.criteria import NEVER
from bench.exits.path_costs import CriterionCost, PathCosts
from bench.exits.policy import Policy
from bench.exits.registry import LEARNED
from bench.measure.exit_table import ExitTable
from bench.routing.search import POLICIES, grid, search, upper_hull
from models.errors import UserError
from tests.support.planted import halves, noisy, reached

FLOPS, MS = (1, 5, 9), (2.0, 3.0, 10.0)
FREE, DEAR = CriterionCost((0.0, 0.0), (0.0, 0.0)), CriterionCost((0.5, 0.5), (0.25, 0.25))


def table(role: str, **scores: np.ndarray) -> ExitTable:
    """Three exits of which only the scores are known."""
    images = len(next(iter(scores.values())))
    return ExitTable(role, "h", tuple(range(images)), [()] * 3, scores)


def priced(**looks: CriterionCost) -> PathCosts:
    return PathCosts(FLOPS, MS, looks)


# float32 values: the halfway point between two of them is always a third one in float64
float32 = st.floats(0, 100, width=32).map(abs)


@settings(max_examples=50)
@given(st.sampled_from([2, 3, 4]).flatmap(lambda e: arrays.arrays(np.float64, (15, e), elements=float32)))
def test_no_threshold_meets_a_score_and_they_reach_from_everybody_to_nobody(scores):
    axes = [sorted(set(column)) for column in zip(*grid(scores, 64), strict=True)]
    for axis, column in zip(axes, scores[:, :-1].T, strict=True):
        assert (axis[0], axis[-1]) == (0, math.inf)
        assert not set(axis[1:-1]) & set(column)
        leaving = [(column >= threshold).sum() for threshold in axis]
        assert len(set(leaving)) == len(leaving), "every threshold moves somebody"
        assert leaving[0] == 15
    assert len(grid(scores, 64)) == math.prod(len(axis) for axis in axes), "all exits jointly"


@pytest.mark.parametrize("exits", [2, 3, 4, 6])
def test_the_grid_has_about_as_many_policies_as_asked_for_and_splits_any_scores(exits):
    scores = np.random.default_rng(0).lognormal(0, 2, (1000, exits))  # a few images far above all others
    combinations = grid(scores)
    assert POLICIES / 2 <= len(combinations) <= 1.5 * POLICIES
    for exit, axis in enumerate(zip(*combinations, strict=True)):
        leaving = [(scores[:, exit] >= threshold).mean() for threshold in set(axis)]
        assert any(0.3 <= share <= 0.7 for share in leaving)


def test_thresholds_are_dense_where_scores_are_dense_and_wherever_scores_reach():
    scores = np.r_[np.linspace(0, 0.01, 90), np.linspace(0.5, 1, 10)][:, None].repeat(2, axis=1)
    (axis,) = zip(*grid(scores, 20), strict=True)
    assert sum(0 < threshold < 0.01 for threshold in axis) >= 6
    assert sum(0.1 < threshold < 1 for threshold in axis) >= 6


def test_the_grid_of_a_criterion_that_never_lets_anybody_leave_does_not_either():
    scores = np.stack([np.full(20, NEVER), np.linspace(0, 1, 20), np.ones(20)], axis=1)
    exits = [Policy("agreement", thresholds).route(scores) for thresholds in grid(scores, 25)]
    assert all((one > 0).all() for one in exits)
    assert {0, 20} <= {int((one == 1).sum()) for one in exits}


def test_the_search_finds_the_policy_that_was_planted():
    rng, easy = np.random.default_rng(5), np.arange(40) % 2 == 0
    trust = np.where(easy, 0.9, 0.1)[:, None] + rng.random((40, 3)) * 0.05
    tried = search(
        table("val", blind=rng.random((40, 3)), wrong=1 - trust, knows=trust),
        halves(40),
        priced(blind=FREE, wrong=FREE, knows=FREE),
        ["blind", "wrong", "knows"],
    )
    chosen = tried.cheapest(0.0, "flops")
    exits = chosen.policy.route(trust)
    assert (chosen.policy.criterion, chosen.chosen_on, chosen.name) == ("knows", "val", "tol0")
    assert (exits == np.where(easy, 0, 1)).all()
    assert "mAP 1.000 against 1.000" in chosen.note


def test_time_counts_the_looks_and_flops_do_not():
    trust = np.where(np.arange(40) % 2 == 0, 0.9, 0.1)[:, None].repeat(3, axis=1)
    tried = search(table("val", dear=trust, free=trust), halves(40), priced(dear=DEAR, free=FREE), ["dear", "free"])
    assert tried.cheapest(0.0, "latency").policy.criterion == "free"
    assert tried.cheapest(0.0, "flops").policy.criterion == "dear", "a tie goes to the first"
    best = {
        name: min(cost for cost, policy in zip(tried.costs["latency"], tried.policies, strict=True) if policy == kept)
        for name, kept in ((p.criterion, p) for p in tried.policies if p.thresholds == (0.5, 0.0))
    }
    assert best == {"free": 0.5 * 2 + 0.5 * 3, "dear": pytest.approx(best["free"] + 0.5 * 0.25 + 0.5 * 0.75)}


def test_only_the_learned_policies_carry_the_gate():
    scores = np.random.default_rng(0).random((40, 3))
    tables = table("val", **{"max_score": scores, LEARNED: scores})
    path_costs = priced(**{"max_score": FREE, LEARNED: FREE})

    def gate(view):
        return 0.0

    tried = search(tables, halves(40), path_costs, ["max_score", LEARNED], gate, count=9)
    assert all((policy.gate is gate) == (policy.criterion == LEARNED) for policy in tried.policies)
    assert {policy.criterion for policy in tried.policies} == {"max_score", LEARNED}


@pytest.fixture(scope="module")
def tried():
    """Two noisy criteria on 60 images, with what each policy gives and costs computed image by image."""
    matches, rng = noisy(60, 3), np.random.default_rng(1)
    scores = {"max_score": rng.random((60, 3)), "margin": rng.random((60, 3))}
    found = search(
        table("val", **scores), matches, priced(max_score=FREE, margin=DEAR), ["max_score", "margin"], count=36
    )
    rows = []
    for policy in found.policies:
        asked = [threshold != math.inf for threshold in policy.thresholds]
        look = FREE if policy.criterion == "max_score" else DEAR
        exits = policy.route(scores[policy.criterion])
        ms = [
            MS[exit]
            + sum(look.staying[k] for k in range(exit) if asked[k])
            + (look.leaving[exit] if exit < 2 and asked[exit] else 0)
            for exit in exits
        ]
        rows.append((reached(matches, exits), np.mean(ms), np.mean([FLOPS[exit] for exit in exits])))
    maps, ms, flops = np.array(rows).T
    return found, maps, {"latency": ms, "flops": flops}


def test_what_policies_reach_and_cost_is_what_image_by_image_gives(tried):
    found, maps, costs = tried
    np.testing.assert_allclose(found.maps, maps, atol=1e-12)
    for unit, expected in costs.items():
        np.testing.assert_allclose(found.costs[unit], expected)
    assert found.full == pytest.approx(maps[[p.thresholds == (math.inf, math.inf) for p in found.policies]][0])


@pytest.mark.parametrize("unit", ["latency", "flops"])
def test_every_choice_is_the_one_of_brute_force(tried, unit):
    found, maps, costs = tried
    at = {id(policy): p for p, policy in enumerate(found.policies)}
    paid = []
    for tolerance in (0.0, 0.01, 0.1, 0.3, 1.0):
        p = at[id(found.cheapest(tolerance, unit).policy)]
        kept = maps >= (1 - tolerance) * found.full - 1e-12
        assert kept[p]
        assert costs[unit][p] == pytest.approx(costs[unit][kept].min())
        paid.append(costs[unit][p])
    assert paid == sorted(paid, reverse=True)
    text = "{}ms" if unit == "latency" else "{}MFLOPs"
    for most in (costs[unit].min(), np.median(costs[unit]), costs[unit].max()):
        budget = parse(text.format(f"{most * (1 if unit == 'latency' else 1e-6) + 1e-9:.12f}"))
        chosen = found.within(budget)
        p = at[id(chosen.policy)]
        affordable = costs[unit] <= budget.most
        assert affordable[p]
        assert maps[p] == pytest.approx(maps[affordable].max())
        assert chosen.name == f"within{budget.text}"


def test_nothing_fits_a_budget_below_the_first_exit(tried):
    found, _, _ = tried
    assert found.within(parse("1.9ms")) is None
    assert found.within(parse("2ms")) is not None


@pytest.mark.parametrize("unit", ["latency", "flops"])
def test_no_policy_lies_above_the_frontier(tried, unit):
    found, maps, costs = tried
    at = {id(policy): p for p, policy in enumerate(found.policies)}
    front = found.frontier(unit)
    corners = [at[id(chosen.policy)] for chosen in front]
    assert [chosen.name for chosen in front] == [f"front{number}" for number in range(1, len(front) + 1)]
    assert (np.diff(costs[unit][corners]) > 0).all()
    assert (np.diff(maps[corners]) > 0).all()
    assert costs[unit][corners[0]] == pytest.approx(costs[unit].min())
    assert maps[corners[-1]] == pytest.approx(maps.max())
    assert (maps <= np.interp(costs[unit], costs[unit][corners], maps[corners]) + 1e-9).all()


@example([(0, 0), (1, 1), (2, 2), (2, 1)])
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_the_hull_is_what_no_point_and_no_pair_of_points_beats(points):
    def beaten(p) -> bool:
        if any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in points):
            return True
        pairs = [(a, b) for a, b in combinations(sorted(points), 2) if a[0] < p[0] < b[0]]
        return any((p[1] - a[1]) * (b[0] - a[0]) <= (b[1] - a[1]) * (p[0] - a[0]) for a, b in pairs)

    costs, maps = np.array(points, float).T
    expected = sorted({p for p in points if not beaten(p)})
    assert [points[index] for index in upper_hull(costs, maps)] == expected


def test_thresholds_are_never_chosen_on_test():
    scores = np.ones((40, 3))
    with pytest.raises(UserError, match="test split"):
        search(table("test", max_score=scores), halves(40), priced(max_score=FREE), ["max_score"])
