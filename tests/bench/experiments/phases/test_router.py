"""What an exit's confidence is, who would answer what, and that the routing parameters learn what they may."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.experiments.phases.recipes import RECIPES, Quality
from bench.experiments.phases.router import LOSS_WEIGHTS, START, Router, confidence
from models.ssdlite.exits import add_exits
from models.ssdlite.network import ssdlite
from models.temperature import CLAMP
from tests.support.random_targets import targets

SURE = torch.tensor([[0.9, 0.7, 0.6, 0.1], [0.9, 0.7, 0.2, 0.1]])


def test_confidence_is_the_mean_foreground_or_what_quality_lets_pass():
    assert confidence(SURE, None).tolist() == pytest.approx([0.575, 0.475])
    assert confidence(SURE, Quality(0.5, 3)).tolist() == pytest.approx([2.2 / 3, 0.0])
    assert confidence(SURE, Quality(0.65, 2)).tolist() == pytest.approx([0.8, 0.8])
    assert confidence(SURE, Quality(0.95, 1)).tolist() == [0.0, 0.0]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8), st.sampled_from(list(RECIPES)))
def test_every_image_is_answered_once(sure, name):
    shares = Router(RECIPES[name], 10).shares(torch.tensor(sure))
    assert (shares >= 0).all()
    assert torch.allclose(shares.sum(dim=1), torch.ones(len(sure)), atol=1e-5)


def test_hard_shares_are_those_of_the_policy_and_relaxed_ones_their_limit():
    sure = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.1, 0.1], [0.9, 0.9]])
    expected = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    recipe = replace(RECIPES["1.1"], thresholds=((0.5, 0.5), (0.5, 0.5)))
    assert Router(recipe, 10).shares(sure).tolist() == expected
    relaxed = Router(replace(recipe, weighting="sigmoid"), 10).shares(sure)
    assert torch.allclose(relaxed, torch.tensor(expected, dtype=torch.float), atol=0.05)
    torch.manual_seed(0)
    drawn = Router(replace(recipe, weighting="gumbel"), 10).shares(sure[:2].repeat(200, 1))
    assert set(drawn.detach().unique().tolist()) == {0.0, 1.0}
    assert drawn[::2, 0].mean() > 0.9
    assert drawn[1::2, 1].mean() > 0.9


def toy(name: str, **changes):
    torch.manual_seed(0)
    detector = add_exits(ssdlite(("figure",), 64), (8, 12), (16, 16))
    detector.router = Router(replace(RECIPES[name], **changes), 10)
    return detector, detector.router


def losses(detector, router):
    return router(detector, torch.randn(2, 3, 64, 64), targets(2, 3))


def test_with_fixed_weights_the_losses_are_the_detector_s_own_in_their_shares():
    detector, router = toy("sound")
    images, truth = torch.randn(2, 3, 64, 64), targets(2, 3)
    detector.eval()
    with torch.no_grad():
        plain = detector.loss(detector(images), truth)
        weighted = router(detector, images, truth)
    assert list(weighted) == ["exit1/class", "exit1/box", "exit2/class", "exit2/box", "exit3/class", "exit3/box"]
    for number, (weight, own) in enumerate(zip(LOSS_WEIGHTS, plain, strict=True), start=1):
        assert float(weighted[f"exit{number}/box"]) == pytest.approx(weight * float(own["box"]), rel=1e-5)


def test_an_exit_that_is_never_taken_never_learns():
    detector, router = toy("1.1", quality=Quality(0.999, 1))
    sum(losses(detector, router).values()).backward()
    assert all(p.grad is None or not p.grad.any() for p in detector.stages[0].head.parameters())
    assert any(p.grad.any() for p in detector.stages[2].head.parameters() if p.grad is not None)


def test_before_the_warm_up_is_over_every_exit_learns():
    detector, router = toy("1.8", warmup=0.5, quality=Quality(0.999, 1))
    for step in range(10):
        trained = float(losses(detector, router)["exit1/class"].detach()) > 0
        assert trained == (step < 5)


@pytest.mark.parametrize(
    ("name", "thresholds", "temperatures"),
    [("1.5", True, True), ("1.6", True, True), ("1.7", False, True), ("1.2", False, True), ("sound", False, False)],
)
def test_what_is_learned(name, thresholds, temperatures):
    detector, router = toy(name)
    sum(losses(detector, router).values()).backward()
    assert (router.threshold.grad is not None and bool(router.threshold.grad.any())) == thresholds
    assert (router.divisor.grad is not None and bool(router.divisor.grad.any())) == temperatures


def test_thresholds_rise_from_their_start_to_their_end():
    _, router = toy("1.7")
    assert router.thresholds().tolist() == pytest.approx([0.25, 0.35])
    router.step += 5
    assert router.thresholds().tolist() == pytest.approx([0.35, 0.475])
    router.step += 50
    assert router.thresholds().tolist() == pytest.approx([0.45, 0.60])


def test_temperatures_are_held_where_they_are_to_be():
    for name, held in (("1.8", True), ("1.7", False)):
        _, router = toy(name)
        assert router.temperatures().tolist() == pytest.approx(START)
        with torch.no_grad():
            router.divisor.mul_(20)
        assert (router.temperatures().max() <= CLAMP[1] + 1e-6) == held
