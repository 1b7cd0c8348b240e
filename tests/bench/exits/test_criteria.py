"""Every criterion says what its docstring promises on scenes worked out by hand, and none is ever negative."""

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from bench.exits.agreement import SAME, agreed, pairs
from bench.exits.criteria import NEVER
from bench.exits.policy import Policy
from bench.exits.pooling import TOP
from bench.exits.registry import CRITERIA, LEARNED, check, names
from bench.exits.view import View
from bench.routing.reinforced import REINFORCED
from models.detector import Detections
from models.errors import UserError
from models.matching import pairwise_iou
from tests.support.plugins import plug

BOX = [0.0, 0.0, 10.0, 10.0]
ELSEWHERE = [50.0, 50.0, 60.0, 60.0]
THIRD = [0.0, 5.0, 10.0, 15.0]  # an IoU of 1/3 with BOX
HALF = [0.0, 0.0, 10.0, 5.0]  # and of 1/2
CODE = torch.zeros(20, 4)


def detections(*found: tuple[list[float], float, int]) -> Detections:
    boxes = np.float32([box for box, _, _ in found]).reshape(-1, 4)
    return Detections(boxes, np.float32([s for _, s, _ in found]), np.array([c for _, _, c in found], np.int64))


def view(probabilities: torch.Tensor, found: Detections | None = None, previous: View | None = None) -> View:
    return View(probabilities, CODE, lambda: found if found is not None else detections(), previous)


def scene() -> torch.Tensor:
    """Two classes, 20 anchors: ten that see a 0.6 of class 1 or 2, ten that see background for certain."""
    sees = torch.tensor([[0.1] * 10, [0.6] * 5 + [0.3] * 5, [0.3] * 5 + [0.6] * 5])
    return torch.cat([torch.tensor([[1.0], [0.0], [0.0]]).repeat(1, 10), sees], dim=1)


SEES = -(0.1 * math.log(0.1) + 0.6 * math.log(0.6) + 0.3 * math.log(0.3)) / math.log(3)


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        ("mean_foreground", 0.45),
        ("mean_background", 0.55),
        ("max_score", 0.6),
        ("mean_top_scores", 0.6),
        ("margin", 0.3),
        ("low_entropy", 1 - SEES / 2),
        ("low_weighted_entropy", 1 - SEES),
    ],
)
def test_what_each_says_of_one_scene(criterion, expected):
    assert CRITERIA.get(criterion)(view(scene())) == pytest.approx(expected, abs=1e-6)


def test_top_scores_and_margin_look_at_the_surest_anchors_alone():
    louder = scene()
    louder[:, :9] = torch.tensor([[0.05], [0.95], [0.0]])
    assert CRITERIA.get("mean_top_scores")(view(louder)) == pytest.approx((9 * 0.95 + 0.6) / TOP)
    assert CRITERIA.get("margin")(view(louder)) == pytest.approx((9 * 0.9 + 0.3) / TOP)


def test_nothing_in_sight_is_certain():
    empty = torch.zeros(3, 20)
    empty[0] = 1
    assert CRITERIA.get("low_entropy")(view(empty)) == CRITERIA.get("low_weighted_entropy")(view(empty)) == 1


@given(st.integers(2, 5), st.integers(0, 100), st.sampled_from([0.0, 1.0, 30.0]))
def test_none_is_negative_or_above_one_where_probabilities_are_all_it_reads(classes, seed, spread):
    logits = torch.randn(classes, 30, generator=torch.Generator().manual_seed(seed)) * spread
    seen = view(logits.softmax(0))
    for name in ("mean_top_scores", "margin", "low_entropy", "low_weighted_entropy", "mean_background", "max_score"):
        assert 0 <= CRITERIA.get(name)(seen) <= 1 + 1e-6


def test_expected_objects_adds_scores_up_and_few_objects_falls_with_it():
    seen = view(scene(), detections((BOX, 0.75, 1), (ELSEWHERE, 0.25, 2)))
    assert CRITERIA.get("expected_objects")(seen) == 1
    assert CRITERIA.get("few_objects")(seen) == 0.5
    assert CRITERIA.get("few_objects")(view(scene())) == 1


def test_agreement_compares_with_the_exit_before_and_the_first_has_none():
    first = view(scene(), detections((BOX, 0.9, 1)))
    second = view(scene(), detections((BOX, 0.8, 1), (ELSEWHERE, 0.5, 1)), previous=first)
    assert CRITERIA.get("agreement")(first) == NEVER
    assert CRITERIA.get("agreement")(second) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ([], [], 1),
        ([(BOX, 0.9, 1)], [], 0),
        ([(BOX, 0.9, 1)], [(ELSEWHERE, 0.9, 1)], 0),
        ([(BOX, 0.9, 1)], [(BOX, 0.31, 1)], 1),
        ([(BOX, 0.9, 1)], [(BOX, 0.9, 2)], 0),
        ([(BOX, 0.9, 1)], [(HALF, 0.9, 1)], 1),
        ([(BOX, 0.9, 1)], [(THIRD, 0.9, 1)], 0),
        ([(BOX, 0.9, 1), (ELSEWHERE, 0.29, 1)], [(BOX, 0.9, 1)], 1),
        ([(BOX, 0.9, 1), (BOX, 0.8, 1)], [(BOX, 0.9, 1)], 2 / 3),
        ([(BOX, 0.9, 1), (ELSEWHERE, 0.8, 2)], [(ELSEWHERE, 0.9, 2), (BOX, 0.4, 1)], 1),
        ([([5.0, 5.0, 5.0, 5.0], 0.9, 1)], [([5.0, 5.0, 5.0, 5.0], 0.9, 1)], 0),
    ],
)
def test_what_two_exits_agree_on(one, other, share):
    assert agreed(detections(*one), detections(*other)) == pytest.approx(share)
    assert agreed(detections(*other), detections(*one)) == pytest.approx(share)


def test_each_takes_the_free_box_that_it_overlaps_most():
    near, less = [0.0, 0.0, 10.0, 9.0], [0.0, 0.0, 10.0, 4.0]  # less has an IoU of 0.8 with HALF, 0.44 with near
    assert agreed(detections((BOX, 0.9, 1), (less, 0.8, 1)), detections((HALF, 0.9, 1), (near, 0.8, 1))) == 1


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 10_000))
def test_boxes_are_paired_one_to_one(count, others, seed):
    """Never more pairs than the largest one-to-one matching holds, and as each takes the best that is free, at least
    half as many: a box that stays alone has seen its partners taken."""
    rng = np.random.default_rng(seed)

    def some(count: int) -> tuple[np.ndarray, np.ndarray]:
        return np.tile(BOX, (count, 1)) + rng.uniform(-3, 3, (count, 4)), rng.integers(1, 3, count)

    (mine, labels), (theirs, their_labels) = some(count), some(others)
    overlaps = pairwise_iou(torch.from_numpy(mine)[None], torch.from_numpy(theirs))[0][0].numpy().reshape(count, others)
    same = (overlaps >= SAME) & (labels[:, None] == their_labels)
    most = (maximum_bipartite_matching(csr_matrix(same)) >= 0).sum() if same.size else 0
    assert most / 2 <= pairs(mine, labels, theirs, their_labels, SAME) <= most


@pytest.mark.parametrize("queries", [1, 9, 36, 100])
def test_an_exit_that_predicts_a_set_of_any_size_has_a_score_of_every_criterion(queries):
    logits = torch.randn(4, queries, generator=torch.Generator().manual_seed(queries)) * 3
    probabilities = logits.softmax(0)
    seen = View(probabilities, torch.rand(queries, 4), lambda: detections((BOX, 0.75, 1), (ELSEWHERE, 0.5, 2)))
    said = {name: criterion(seen) for name, criterion in CRITERIA.all().items() if name != "agreement"}
    assert all(0 <= score < math.inf for score in said.values())
    scores = probabilities[1:].amax(0)
    assert said["max_score"] == pytest.approx(float(scores.max()))
    assert said["mean_top_scores"] == pytest.approx(float(scores.sort(descending=True).values[:TOP].mean()))
    assert said["mean_foreground"] == pytest.approx(float(1 - probabilities[0].mean()), abs=1e-6)
    assert said["expected_objects"] == 1.25
    assert np.isfinite(seen.features).all()


def test_detections_are_computed_when_asked_for_and_once():
    calls = []
    seen = View(scene(), CODE, lambda: calls.append(1) or detections())
    for name in ("mean_foreground", "max_score", "margin", "low_entropy"):
        CRITERIA.get(name)(seen)
    assert not calls
    CRITERIA.get("expected_objects")(seen)
    CRITERIA.get("few_objects")(seen)
    assert seen.detections is seen.detections
    assert calls == [1]


def test_every_criterion_is_said_in_one_line():
    summaries = [entry.summary for entry in CRITERIA.entries()]
    assert all(0 < len(summary) < 80 for summary in summaries)
    assert len(set(summaries)) == len(CRITERIA)


def fullness(view):
    """A criterion that another package would bring."""
    return float(view.probabilities[1:].sum())


def test_other_packages_bring_criteria_that_policies_use(monkeypatch):
    monkeypatch.setitem(sys.modules, "theirs", SimpleNamespace(fullness=fullness))
    plug(monkeypatch, CRITERIA, fullness="theirs:fullness")
    check(["fullness", LEARNED])
    assert names()[-2:] == ("fullness", LEARNED)
    seen = view(scene())
    score = fullness(seen)
    assert CRITERIA.all()["fullness"](seen) == score
    assert Policy("fullness", (score,)).answers(0, seen)
    assert not Policy("fullness", (score + 1e-3,)).answers(0, seen)
    with pytest.raises(UserError, match="did you mean 'fullness'"):
        check(["fulness"])


@pytest.mark.parametrize("taken", ["max_score", LEARNED, REINFORCED])
def test_no_package_takes_a_name_that_has_a_meaning(monkeypatch, taken):
    with pytest.raises(UserError, match=f"the criterion '{taken}'"):
        plug(monkeypatch, CRITERIA, **{taken: "theirs:fullness"})


def test_a_policy_looks_its_criterion_up_once(monkeypatch):
    policy, seen = Policy("max_score", (0.5,)), view(scene())
    expected = policy.answers(0, seen)
    monkeypatch.setattr(CRITERIA, "get", None)
    assert policy.answers(0, seen) == expected
