"""Every planted fault raises its alarm and no other, and sound detectors raise none."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bench.routing.alarms import (
    COLLAPSED,
    NOTHING,
    OFFSETS,
    UNIFORM,
    detector_alarms,
    detector_faults,
    detects_nothing,
    out_of_range,
    policy_alarms,
    runaway,
    uniform,
    with_boxes,
)
from models.temperature import CLAMP
from tests.support.planted import HERE, THERE, halves, matched, noisy, reached

IMAGES = 120
SOUND = (1.3, 1.1, 1.0)


def vitals(images: int = IMAGES, seed: int = 0) -> dict[str, np.ndarray]:
    """Of three sound exits: scores that spread, and boxes in range."""
    rng = np.random.default_rng(seed)
    return {"spread": rng.uniform(0.1, 0.9, (images, 3)), "offset": rng.uniform(0, 0.9, (images, 3))}


@pytest.mark.parametrize("seed", range(5))
def test_a_sound_detector_raises_none(seed):
    assert detector_alarms(noisy(IMAGES, seed), vitals(seed=seed), SOUND, seed) == ()
    assert detector_alarms(halves(IMAGES), vitals(seed=seed), SOUND, seed) == ()


@pytest.mark.parametrize("seed", range(5))
def test_exits_that_differ_by_chance_alone_raise_none(seed):
    rng = np.random.default_rng(seed)
    found = [[[(HERE if hit else THERE, score)] for hit, score in rng.random((IMAGES, 2)) > 0.4] for _ in range(3)]
    assert detector_alarms(matched(np.ones(IMAGES, bool), found), vitals(), SOUND, seed) == ()


def test_one_exit_or_nothing_to_find_is_no_fault():
    (*_, last), one = halves(IMAGES), {name: column[:, :1] for name, column in vitals().items()}
    assert detector_alarms([last], one, [1.0], 0) == ()
    empty = matched(np.zeros(20, bool), [[[(HERE, 0.5)]] * 20] * 3)
    assert detector_alarms(empty, {**vitals(20), "spread": np.zeros((20, 3))}, SOUND, 0) == ()


def test_an_inner_exit_above_the_last_one():
    first, last, _ = halves(IMAGES)
    (alarm,) = detector_alarms([first, last, first], vitals(), SOUND, 0)
    assert alarm.startswith("exit 2 has mAP 1.000, above the last exit's 0.")
    assert alarm.endswith("beyond noise: the last exit is undertrained or broken")


def test_an_exit_that_finds_next_to_nothing():
    _, last, _ = halves(IMAGES)
    blind = [[(THERE, 0.5)]] * IMAGES
    lucky = [[(HERE if image < 3 else THERE, 0.5)] for image in range(IMAGES)]
    for found, says in ((blind, "AP50 0.000"), (lucky, "AP50 0.0")):
        (exit,) = matched(np.ones(IMAGES, bool), [found])
        (alarm,) = detector_alarms([exit, last, last], vitals(), SOUND, 0)
        assert alarm.startswith(f"exit 1 has {says}")
        assert alarm.endswith("detects nothing, whatever its losses, scores or speed say")


def test_a_weak_exit_still_detects_something():
    found = [[(HERE if image % 5 == 0 else THERE, 0.9 - 0.001 * image)] for image in range(IMAGES)]
    (weak,) = matched(np.ones(IMAGES, bool), [found])
    assert NOTHING < reached([weak], np.zeros(IMAGES, int)) < 0.1
    assert detects_nothing([weak]) == []


def test_a_lead_within_noise_is_no_fault():
    late = [[(HERE, 0.9 - 0.001 * i)] for i in range(IMAGES)]
    missed = [[(THERE, 0.5)], *late[1:]]
    world = matched(np.ones(IMAGES, bool), [late, late, missed])
    assert detector_alarms(world, vitals(), SOUND, 0) == ()


def test_uniform_scores():
    sick = vitals()
    sick["spread"][:, 1] = 0.01
    (alarm,) = detector_alarms(halves(IMAGES), sick, SOUND, 0)
    assert alarm.startswith("exit 2 gives all anchors nearly the same score on 100.0 % of the images with boxes")
    assert "spread 0.010" in alarm


def test_scores_may_be_uniform_where_there_is_nothing_to_see():
    world = noisy(IMAGES, 0)
    empty = ~with_boxes(world[0])
    assert 0.1 < empty.mean() < 0.5
    healthy = vitals()
    healthy["spread"][empty] = 0.001
    assert detector_alarms(world, healthy, SOUND, 0) == ()


def test_images_with_boxes_are_known_in_any_order_of_ids():
    boxes = np.array([True, False, False, True, True])
    (world,) = matched(boxes, [[[]] * 5])
    assert with_boxes(world).tolist() == boxes.tolist()
    turned = replace(world, image_ids=world.image_ids[::-1])
    assert with_boxes(turned).tolist() == boxes[::-1].tolist()


@pytest.mark.parametrize(("value", "says"), [(3.4, "of up to 3.4 times the plausible"), (math.inf, "not finite")])
def test_offsets_out_of_range(value, says):
    sick = vitals()
    sick["offset"][:12, 2] = value
    (alarm,) = detector_alarms(halves(IMAGES), sick, SOUND, 0)
    assert alarm.startswith("exit 3 answers with box offsets")
    assert says in alarm
    assert "on 10.0 % of the images" in alarm


@pytest.mark.parametrize("temperature", [*CLAMP, CLAMP[0] * 1.005, CLAMP[1] * 0.995, math.nan, math.inf])
def test_runaway_temperatures(temperature):
    (alarm,) = detector_alarms(halves(IMAGES), vitals(), (1.0, temperature, 1.0), 0)
    assert alarm.startswith("exit 2 has temperature")
    assert ("diverged" in alarm) == (not math.isfinite(temperature))
    assert ("too sure" in alarm) == (math.isfinite(temperature) and temperature > 1)


def test_every_fault_at_once_is_told_of():
    first, last, _ = halves(IMAGES)
    sick = {"spread": np.zeros((IMAGES, 3)), "offset": np.full((IMAGES, 3), math.inf)}
    (blind,) = matched(np.ones(IMAGES, bool), [[[(THERE, 0.5)]] * IMAGES])
    faults = detector_faults([first, last, blind], sick, (CLAMP[1],) * 3, 0)
    expected = {"detects nothing": 1, "upside down": 2, "uniform scores": 3, "boxes out of range": 3, "temperature": 3}
    assert {kind: len(found) for kind, found in faults.items()} == expected
    told = detector_alarms([first, last, blind], sick, (CLAMP[1],) * 3, 0)
    assert sorted(told) == sorted(line for found in faults.values() for line in found)


def test_thresholds_are_not_met_by_what_lies_on_them():
    count = 1000
    spread, offset = np.ones((count, 1)), np.zeros((count, 1))
    spread[: int(UNIFORM * count)] = 0
    offset[: int(OFFSETS * count)] = 2
    assert uniform(spread) == []
    assert out_of_range(offset) == []
    spread[-1], offset[-1] = 0, 2
    assert len(uniform(spread)) == len(out_of_range(offset)) == 1
    assert runaway([CLAMP[0] * 1.02, CLAMP[1] * 0.98]) == []


@pytest.mark.parametrize(
    ("taken", "says"),
    [
        (0, "exit 1 answers 99.0 % of the images: the gate has collapsed, it is a shallower network in disguise"),
        (2, "exit 3 answers 99.0 % of the images: the gate has collapsed, hardly anybody leaves early"),
    ],
)
def test_a_collapsed_gate(taken, says):
    exits = np.full(100, taken)
    exits[0] = 1
    (alarm,) = policy_alarms(exits, 3)
    assert alarm.startswith(says)


def test_a_gate_that_chooses_has_not_collapsed():
    exits = np.zeros(100, int)
    exits[: round(100 * (1 - COLLAPSED))] = 1
    assert policy_alarms(exits, 2) == ()
    assert policy_alarms(np.arange(100) % 3, 3) == ()
    assert policy_alarms(np.zeros(100, int), 1) == ()
