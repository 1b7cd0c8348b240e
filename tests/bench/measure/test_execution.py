"""Executing a policy agrees with the table it was simulated on, and whatever does not agree is counted."""

from dataclasses import replace

import numpy as np
import pytest

from bench.exits.path_costs import CriterionCost, PathCosts
from bench.exits.policy import Policy, static
from bench.measure.execution import execute, predicted_ms, same
from bench.measure.exit_table import exit_table
from bench.measure.latency import LatencySamples
from bench.records import Execution
from models.detector import Detections
from tests.support import small


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A detector, its table, and a policy under which images leave at different exits."""
    deployed, split = small.deployed(tmp_path_factory.mktemp("truth")), small.data().test
    table = exit_table(deployed, split)
    scores = table.scores["expected_objects"]
    policy = Policy("expected_objects", tuple(np.quantile(scores[:, :-1], 0.6, axis=0)))
    exits = policy.route(scores)
    assert len(set(exits)) > 1
    return deployed, split, table, policy, exits


def test_the_path_taken_is_the_one_simulated(world):
    deployed, split, table, policy, exits = world
    assert execute(deployed, policy, split, table, exits) == Execution(
        images=len(split), exits_differ=0, detections_differ=0
    )


def test_an_exit_that_differs_is_found(world):
    deployed, split, table, policy, exits = world
    other = exits.copy()
    other[3] = (other[3] + 1) % 3
    assert execute(deployed, policy, split, table, other).exits_differ == 1


@pytest.mark.parametrize("part", ["boxes", "scores", "labels"])
def test_one_bit_of_one_detection_that_differs_is_found(world, part):
    deployed, split, table, _, _ = world
    index = next(i for i in range(len(split)) if len(table.detections[1][i]))
    answer = table.detections[1][index]
    values = getattr(answer, part).copy()
    values[-1] = values[-1] + 1 if part == "labels" else np.nextafter(values[-1], np.float32(1e9))
    answers = list(table.detections[1])
    answers[index] = replace(answer, **{part: values})
    other = replace(table, detections=[table.detections[0], answers, table.detections[2]])
    found = execute(deployed, static(1, 3), split, other, np.ones(len(split), int))
    assert found == Execution(images=len(split), exits_differ=0, detections_differ=1)


def test_a_detection_more_or_another_order_is_not_the_same():
    boxes = np.random.default_rng(0).random((2, 4), np.float32)
    scores, labels = np.float32([0.5, 0.5]), np.array([1, 1])
    one = Detections(boxes, scores, labels)
    assert same(one, Detections(boxes.copy(), scores.copy(), labels.copy()))
    assert not same(one, Detections(boxes[:1], scores[:1], labels[:1]))
    assert not same(one, Detections(boxes[::-1], scores, labels))


def test_the_prediction_is_each_images_own_static_time_and_its_looks():
    timed = np.array([1, 3, 4])  # of six test images, each timed three times, in an order of their own
    order = np.array([4, 1, 3, 3, 4, 1, 1, 4, 3])

    def latency(ms: dict[int, float]) -> LatencySamples:
        samples = np.array([ms[image] for image in order])
        samples[[0, 1, 2]] += 100  # a spike in one repeat of each
        return LatencySamples(samples, order, np.zeros(9, int))

    static = [
        latency({1: 1.0, 3: 2.0, 4: 3.0}),
        latency({1: 10.0, 3: 20.0, 4: 30.0}),
        latency({1: 50.0, 3: 60.0, 4: 70.0}),
    ]
    path_costs = PathCosts((1, 2, 3), (9.0, 99.0, 999.0), {"c": CriterionCost((0.25, 0.5), (0.125, 0.0625))})
    exits = np.array([0, 0, 0, 1, 2, 0])
    expected = np.mean([1 + 0.125, 20 + 0.25 + 0.0625, 70 + 0.25 + 0.5])
    assert predicted_ms(Policy("c", (0.5, 0.5)), path_costs, static, exits, timed) == pytest.approx(expected)
    unasked = np.mean([1 + 0.125, 20 + 0.25, 70 + 0.25])
    assert predicted_ms(Policy("c", (0.5, np.inf)), path_costs, static, exits, timed) == pytest.approx(unasked)
