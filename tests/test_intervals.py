"""Do the intervals cover what they claim to? Known-answer experiments, repeated: 95 % intervals must hold the truth in
92 to 98 % of them. The seeds are 0, 1, 2, ..., so that nobody chooses them."""

import numpy as np
import pytest

from bench.accuracy.coco import bootstrap_map
from bench.accuracy.pool import pooled
from bench.judge.verdict import verdict
from bench.measure.latency import LatencySamples, ratio
from bench.stats import corrected_interval, images_to_decide, interval
from tests.support.made import gate, matched, routed, two_exits

REPETITIONS = 400

pytestmark = pytest.mark.slow


def photographs(images: int, rng: np.random.Generator):
    """Matches of two detectors on images that are easy or hard for both. They find the box now and then, more or less
    well placed, and raise false alarms; the second is the better one."""
    hard = rng.random(images)

    def detector(skill: float, jitter: float):
        hits = (rng.random(images) < skill - 0.4 * hard).astype(int)
        alarms = (rng.random(images) < 0.4).astype(int)
        shifted = np.array([10, 10, 60, 60]) + rng.normal(0, jitter, (images, 1, 4))
        elsewhere = np.array([[70.0, 70, 90, 90]])
        boxes = [
            np.vstack([here[:hit], elsewhere[:alarm]]) for here, hit, alarm in zip(shifted, hits, alarms, strict=True)
        ]
        sure, unsure = rng.beta(4, 2, (images, 1)), rng.beta(2, 3, (images, 1))
        scores = [np.r_[s[:hit], u[:alarm]] for s, u, hit, alarm in zip(sure, unsure, hits, alarms, strict=True)]
        return boxes, scores

    return matched(*zip(detector(0.8, 4), detector(0.9, 3), strict=True))


def maps(matches) -> list[float]:
    """mAP of both detectors."""
    return pooled(matches).map_many(np.outer([0, 1], np.ones(len(matches[0].image_ids), int))).tolist()


@pytest.fixture(scope="module")
def experiments():
    """mAP of both detectors [REPETITIONS, 2] and its bootstrap replicates [REPETITIONS, 2, 300], each time on 300
    images of their own."""
    found, replicates = [], []
    for seed in range(REPETITIONS):
        matches = photographs(300, np.random.default_rng(seed))
        found.append(maps(matches))
        replicates.append([bootstrap_map(matches, np.full(300, exit), 300, seed) for exit in (0, 1)])
    return np.array(found), np.array(replicates)


@pytest.fixture(scope="module")
def population() -> list[float]:
    """mAP of both detectors on so many images that it is the truth."""
    return maps(photographs(40_000, np.random.default_rng(REPETITIONS)))


def coverage(intervals, truth: float) -> float:
    return float(np.mean([low <= truth <= high for low, high in intervals]))


@pytest.mark.parametrize("exit", [0, 1])
def test_the_interval_of_a_map(experiments, population, exit):
    found, replicates = experiments
    intervals = [corrected_interval(*one) for one in zip(replicates[:, exit], found[:, exit], strict=True)]
    assert 0.92 <= coverage(intervals, population[exit]) <= 0.98


def test_the_interval_of_a_paired_difference_in_map(experiments, population):
    differences = experiments[1][:, 1] - experiments[1][:, 0]
    assert 0.92 <= coverage(map(interval, differences), population[1] - population[0]) <= 0.98


def test_the_interval_of_a_ratio_of_latencies():
    """One contender leaves early on some images; repeats of an image scatter around its time."""

    def experiment(seed: int) -> tuple[float, float]:
        rng = np.random.default_rng(seed)
        image = np.repeat(np.arange(80), 3)
        machine = rng.normal(0, 0.3, 80)
        early, late = np.where(rng.random(80) < 0.3, 2, 4) + machine, 4 + machine
        a, b = (LatencySamples(ms[image] + rng.normal(0, 0.2, 240), image, image) for ms in (late, early))
        return ratio(a, b, resamples=300, seed=seed)[1:]

    assert 0.92 <= coverage(map(experiment, range(1000)), 4 / 3.4) <= 0.98


def judged(seed: int, knows: float, images: int = 200):
    rng = np.random.default_rng(seed)
    matches, found = two_exits(images, rng)
    return verdict(routed(matches, gate(found, knows, rng), rng, resamples=300))


def test_the_interval_at_equal_latency():
    found = [judged(seed, knows=0.7) for seed in range(REPETITIONS)]
    assert 0.92 <= coverage([(one.low, one.high) for one in found], 0.75 - 0.65) <= 0.98


def test_a_true_tie_is_rarely_decided():
    found = [judged(seed, knows=0.5) for seed in range(REPETITIONS)]
    assert 0.01 < np.mean([one.decision != "UNDECIDED" for one in found]) < 0.08
    assert 0.92 <= coverage([(one.low, one.high) for one in found], 0) <= 0.98
    assert 0.92 <= coverage([(one.speed_low, one.speed_high) for one in found], 1) <= 0.98


def test_that_many_images_decide():
    small = [judged(seed, knows=0.6, images=100) for seed in range(50)]
    reach = np.mean([one.difference - one.low for one in small])
    needed = images_to_decide(0.05, (0.05 - reach, 0.05 + reach), 100)
    decided = [judged(seed, knows=0.6, images=needed).decision == "WORTH IT" for seed in range(100)]
    assert np.mean([one.decision == "UNDECIDED" for one in small]) > 0.5
    assert np.mean(decided) > 0.8
