"""Batches are timed whole, and the time that regrouping takes is told apart."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from bench.exits.policy import static
from bench.measure import throughput as module
from bench.measure.throughput import ThroughputSamples, regrouping_share, throughput
from bench.runtimes.base import Answer

IMAGES = [np.full((2, 2, 3), index, np.uint8) for index in range(11)]


class Sleeper:
    """Takes `each` seconds an image, and as many again for regrouping in every call but the first."""

    def __init__(self, each: float, clock=time):
        self.each, self.clock, self.regrouping, self.seen = each, clock, 0.0, []

    def detect(self, images, policy):
        self.seen.append([int(image[0, 0, 0]) for image in images])
        self.clock.sleep(self.each * len(images))
        if len(self.seen) > 1:
            start = self.clock.perf_counter()
            self.clock.sleep(self.each * len(images))
            self.regrouping += self.clock.perf_counter() - start
        return [Answer(None, 0) for _ in images]


def test_images_per_second_counts_the_images_of_whole_batches():
    slow, fast = Sleeper(4e-3), Sleeper(1e-3)
    contenders = {"slow": (slow, static(0, 1)), "fast": (fast, static(0, 1))}
    found = throughput(contenders, IMAGES, batch=4, repeats=2, seed=0)
    assert {tuple(batch) for batch in slow.seen} == {(0, 1, 2, 3), (4, 5, 6, 7)}, "three images fill no batch"
    assert isinstance(found["slow"], ThroughputSamples)
    assert len(found["slow"].latency.samples) == 4
    assert found["slow"].images_per_second == pytest.approx(4000 / found["slow"].latency.mean)
    assert found["fast"].images_per_second > 2 * found["slow"].images_per_second


class Watch:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_regrouping_is_a_share_of_the_second_pass(monkeypatch):
    watch = Watch()
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=watch.perf_counter))
    share = regrouping_share(Sleeper(2e-3, watch), static(0, 1), [IMAGES[:2], IMAGES[2:4]])
    assert share == pytest.approx(0.5)


def test_too_few_images_for_one_batch_are_refused():
    with pytest.raises(ValueError, match="11 images do not fill a batch of 12"):
        throughput({}, IMAGES, batch=12, repeats=1, seed=0)
