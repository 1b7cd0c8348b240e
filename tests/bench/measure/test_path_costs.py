"""Prices by a clock that stages, NMS and criteria advance themselves: what a policy is said to cost is what a deployed
detector then takes, look by look."""

import math
from functools import partial
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bench.exits.path_costs import CriterionCost
from bench.exits.policy import Policy, static
from bench.measure import path_costs as price
from bench.measure.latency import LatencySamples, interleaved
from bench.runtimes import Deployed
from models.detector import Detections

STAGES, NMS = (3.0, 5.0, 7.0), 2.0
PICTURES = [np.full((8, 8, 3), i, np.uint8) for i in range(5)]
ANSWER = Detections(np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.ones(1, np.int64))


class Machine:
    """A clock in nanoseconds, and a chain of stages and an NMS that advance it."""

    bytes, host_threads, audit = 1, 1, {}

    def __init__(self):
        self.now = 0
        detector = SimpleNamespace(exits=len(STAGES), size=8, detections=self.nms)
        self.deployed = Deployed(SimpleNamespace(detector=detector), "stand-in", self)

    def spend(self, ms: float) -> None:
        self.now += round(ms * 1e6)

    def chain(self, batch: int):
        return self

    def start(self, pixels) -> None:
        self.pixels = pixels

    def step(self, stage: int):
        self.spend(STAGES[stage])
        return torch.full((1, 2, 10), 0.5), torch.zeros(1, 10, 4)

    def nms(self, probabilities, code, exit) -> Detections:
        self.spend(NMS)
        return ANSWER

    def free(self, view) -> float:
        return 0.5

    def reads(self, view) -> float:
        self.spend(0.25)
        return 0.5

    def counts(self, view) -> float:
        self.spend(0.5)
        return 0.5 * len(view.detections)

    def compares(self, view) -> float:
        if view.previous is None:
            return -math.inf
        self.spend(0.125)
        return 0.5 * len(view.detections) * len(view.previous.detections)


@pytest.fixture
def machine(monkeypatch):
    machine = Machine()
    monkeypatch.setattr(price, "time", SimpleNamespace(perf_counter_ns=lambda: machine.now))
    monkeypatch.setattr(price, "interleaved", partial(interleaved, clock=lambda: machine.now))
    return machine


def criteria(machine: Machine) -> dict:
    return {name: getattr(machine, name) for name in ("free", "reads", "counts", "compares")}


def priced(machine: Machine):
    return price.measure_path_costs(machine.deployed, PICTURES, (10, 20, 30), criteria(machine), warmup=0, seed=0)


def test_leaving_at_different_exits_costs_what_it_costs_more_than_leaving_at_one():
    """Exit 1 takes 1 ms alone and 1.5 in between; exit 2 takes 2 ms in any company; nobody was dealt the third."""
    places = np.arange(4)
    alone = [LatencySamples(np.full(4, ms), places, np.full(4, exit)) for exit, ms in enumerate((1.0, 2.0, 3.0))]
    easy = [0.0, 0.1, 0.2, 0.3]  # images differ, for every exit alike
    alone = [LatencySamples(one.samples + easy, places, one.exits) for one in alone]
    dealt = LatencySamples(np.array([1.5, 2.0, 1.5, 1.9]) + easy, places, np.array([0, 1, 0, 1]))
    assert price.switch_cost(alone, [dealt]) == pytest.approx((0.5, 0.0, 0.0))


def test_an_exit_costs_the_stages_up_to_it_and_one_nms(machine):
    found = priced(machine)
    assert found.flops == (10, 20, 30)
    assert found.ms == pytest.approx((5, 10, 17))


def test_an_nms_is_paid_for_by_who_stays_and_not_twice_by_who_leaves(machine):
    looks = priced(machine).criterion_costs
    assert looks["free"] == CriterionCost((0, 0), (0, 0))
    assert looks["reads"] == CriterionCost((0.25, 0.25), (0.25, 0.25))
    assert looks["counts"] == CriterionCost((2.5, 2.5), (0.5, 0.5))
    assert looks["compares"] == CriterionCost((0, 4.125), (0, 2.125)), (
        "the first exit is told nothing, the second reads both"
    )


@pytest.mark.parametrize("name", ["free", "reads", "counts", "compares"])
def test_what_a_policy_is_said_to_cost_is_what_it_takes(machine, name):
    found, criterion = priced(machine), criteria(machine)[name]
    taken = set()
    for thresholds in product((0.0, 1.0, math.inf), repeat=2):
        policy = Policy(name, thresholds, criterion)
        before = machine.now
        exit = machine.deployed.detect(PICTURES[0], policy).exit
        assert (machine.now - before) / 1e6 == pytest.approx((np.array(found.ms) + found.criterion_ms(policy))[exit]), (
            thresholds
        )
        taken.add(exit)
    assert taken == ({1, 2} if name == "compares" else {0, 1, 2})


def test_one_slow_image_does_not_make_a_look_dear(machine):
    def slow_once(view) -> float:
        machine.spend(1000.0 if int(machine.pixels[0, 0, 0, 0]) == 2 else 0.25)
        return 0.5

    assert price.measure_criteria(machine.deployed, PICTURES, {"c": slow_once})["c"] == CriterionCost(
        (0.25, 0.25), (0.25, 0.25)
    )


def test_nothing_is_asked_at_the_last_exit(machine):
    asked = []
    price.measure_criteria(machine.deployed, PICTURES, {"c": lambda view: asked.append(view.exit) or 0.5})
    assert set(asked) == {0, 1}
    assert machine.deployed.detect(PICTURES[0], static(2, 3)).exit == 2


def test_a_fresh_view_has_everything_but_what_was_computed(machine):
    views = machine.deployed.every_exit(PICTURES[0], lambda view: view)
    assert len(views[1].detections) == len(views[0].detections) == 1
    again = price.fresh(views[1])
    assert (again.exit, again.probabilities is views[1].probabilities) == (1, True)
    before = machine.now
    assert len(again.detections) == len(again.previous.detections) == 1
    assert machine.now - before == 2 * NMS * 1e6
