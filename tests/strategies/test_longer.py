"""The control that only trains on: the same network, all of it inherited, for as many epochs as it says."""

import torch

from strategies.longer import Longer
from tests.support.toys import OneStep, Scenes, candidate, no_score


def test_it_trains_a_copy_of_everything_for_so_many_epochs():
    start, fit = candidate(), OneStep()
    before = {name: value.clone() for name, value in start.detector.state_dict().items()}
    (made,) = Longer(epochs=3).apply(start, fit=fit, score=no_score, train=Scenes(), val=Scenes(), seed=0)
    (call,) = fit.calls
    assert (call["name"], call["epochs"]) == ("longer", 3)
    assert call["inherited"] == set(made.detector.modules()), "nothing in it is new"
    assert next(name for name, _ in made.detector.named_parameters()) in call["touched"], "the trunk learns too"
    assert made.detector is not start.detector
    assert all(torch.equal(value, before[name]) for name, value in start.detector.state_dict().items())
    assert (made.strategy, made.variant, made.precision) == ("longer", "3-epochs", "fp32")


def test_it_starts_where_the_baseline_ended():
    start = candidate()
    (made,) = Longer().apply(start, fit=OneStep(), score=no_score, train=Scenes(), val=Scenes(), seed=0)
    trained = {name for name, _ in start.detector.named_parameters()}
    now = made.detector.state_dict()
    assert all(torch.equal(start.detector.state_dict()[name], now[name]) for name in trained)
    assert made.detector.exits == start.detector.exits
