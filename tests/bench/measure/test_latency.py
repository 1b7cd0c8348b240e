"""Timing with a clock that the contenders themselves advance, so every number is known beforehand."""

import gc
from collections import Counter

import numpy as np
import pytest

from bench.measure.latency import Timing, interleaved, ratio


class Machine:
    """A clock in nanoseconds and contenders that advance it; keeps who was called on which image, in
    order."""

    def __init__(self):
        self.now = 0
        self.calls = []

    def clock(self):
        return self.now

    def contender(self, name, milliseconds, exit_of=lambda image: 0):
        def call(pixels):
            image = int(pixels[0, 0, 0])
            self.calls.append((name, image))
            self.now += round(milliseconds(image) * 1e6)
            return exit_of(image)

        return call


def photographs(n):
    return [np.full((2, 3, 3), i, np.uint8) for i in range(n)]


def timing(samples, images):
    return Timing(np.array(samples, float), np.array(images), np.zeros(len(samples), int))


def test_samples_images_and_exits_are_those_of_the_calls():
    machine = Machine()
    contenders = {
        "a": machine.contender("a", lambda image: 10 + image, exit_of=lambda image: image % 2),
        "b": machine.contender("b", lambda image: 5),
    }
    timings = interleaved(contenders, photographs(4), repeats=3, warmup=0, seed=0, clock=machine.clock)
    a, b = timings["a"], timings["b"]
    assert Counter(a.images.tolist()) == {0: 3, 1: 3, 2: 3, 3: 3}
    np.testing.assert_array_equal(a.images, b.images)
    np.testing.assert_allclose(a.samples, 10 + a.images)
    np.testing.assert_array_equal(a.exits, a.images % 2)
    np.testing.assert_array_equal(b.exits, 0)
    np.testing.assert_allclose(a.per_image, [10, 11, 12, 13])


def test_every_round_calls_everyone_once_on_the_same_image_in_varying_order():
    machine = Machine()
    names = ["a", "b", "c"]
    contenders = {name: machine.contender(name, lambda image: 1) for name in names}
    interleaved(contenders, photographs(200), repeats=3, warmup=0, seed=1, clock=machine.clock)
    timed = machine.calls[1::2]
    rounds = [timed[i : i + 3] for i in range(0, len(timed), 3)]
    assert len(rounds) == 600
    assert all(sorted(name for name, _ in one) == names for one in rounds)
    assert all(len({image for _, image in one}) == 1 for one in rounds)
    first = Counter(one[0][0] for one in rounds)
    assert all(abs(first[name] - 200) < 60 for name in names)  # five standard deviations
    assert len({tuple(name for name, _ in one) for one in rounds}) == 6


def test_each_timed_call_follows_an_untimed_one_of_the_same_contender_on_the_image_before():
    machine = Machine()
    contenders = {name: machine.contender(name, lambda image: 1 + image) for name in "ab"}
    timings = interleaved(contenders, photographs(5), repeats=2, warmup=0, seed=1, clock=machine.clock)
    pairs = list(zip(machine.calls[::2], machine.calls[1::2], strict=True))
    assert all(warm[0] == timed[0] for warm, timed in pairs)
    assert [warm[1] for warm, _ in pairs[2:]] == [timed[1] for _, timed in pairs[:-2]]
    np.testing.assert_allclose(timings["a"].samples, 1 + timings["a"].images)


def test_the_seed_fixes_the_order():
    def order(seed):
        machine = Machine()
        contenders = {name: machine.contender(name, lambda image: 1) for name in "ab"}
        interleaved(contenders, photographs(20), repeats=1, warmup=0, seed=seed, clock=machine.clock)
        return machine.calls

    assert order(3) == order(3)
    assert order(3) != order(4)


def test_warmup_is_not_timed_and_progress_counts_rounds():
    machine, seen = Machine(), []
    contenders = {"a": machine.contender("a", lambda image: 1)}
    timings = interleaved(
        contenders,
        photographs(3),
        repeats=2,
        warmup=5,
        seed=0,
        progress=lambda done, rounds: seen.append((done, rounds)),
        clock=machine.clock,
    )
    assert len(machine.calls) == 5 + 2 * 6
    assert len(timings["a"].samples) == 6
    assert seen == [(i, 6) for i in range(1, 7)]


def test_progress_is_not_timed():
    machine = Machine()

    def slow(done, rounds):
        machine.now += 10**9

    contenders = {"a": machine.contender("a", lambda image: 1)}
    timings = interleaved(contenders, photographs(3), repeats=2, warmup=0, seed=0, progress=slow, clock=machine.clock)
    np.testing.assert_allclose(timings["a"].samples, 1)


def test_garbage_collection_rests_while_timing_and_returns_after_an_error():
    states = []

    def call(pixels):
        states.append(gc.isenabled())
        if len(states) == 3:
            raise RuntimeError
        return 0

    with pytest.raises(RuntimeError):
        interleaved({"a": call}, photographs(2), repeats=2, warmup=0, seed=0)
    assert states == [False, False, False]
    assert gc.isenabled()


def test_percentiles_are_numpys():
    samples = np.random.default_rng(0).gamma(2, 5, 997)
    one = timing(samples, np.arange(997))
    assert (one.p50, one.p90, one.p99) == tuple(np.percentile(samples, [50, 90, 99]))


def test_mean_drops_spikes_and_keeps_both_modes_of_an_early_exit():
    images = np.tile(np.arange(10), 5)
    samples = np.where(images < 7, 2.0, 10.0)
    samples[3] = samples[48] = 1000.0
    one = timing(samples, images)
    assert one.mean == pytest.approx((7 * 2 + 3 * 10) / 10)
    assert one.p50 == 2.0


def test_ratio_recovers_a_planted_factor_through_noise_and_drift():
    machine, noise = Machine(), np.random.default_rng(0)
    content = noise.gamma(4, 2, 60)

    def busy(factor):
        return lambda image: factor * content[image] * (1 + machine.now / 1e11) * noise.lognormal(0, 0.1)

    contenders = {"slow": machine.contender("slow", busy(1.7)), "fast": machine.contender("fast", busy(1.0))}
    timings = interleaved(contenders, photographs(60), repeats=7, warmup=0, seed=0, clock=machine.clock)
    middle, low, high = ratio(timings["slow"], timings["fast"], resamples=500, seed=0)
    assert middle == timings["slow"].mean / timings["fast"].mean
    assert low < 1.7 < high
    assert high - low < 0.15


def test_ratio_of_proportional_times_is_certain():
    samples, images = np.random.default_rng(1).gamma(2, 5, 40), np.arange(40)
    a, b = timing(3 * samples, images), timing(samples, images)
    assert ratio(a, b, resamples=50, seed=0) == pytest.approx((3, 3, 3))


def test_ratio_needs_the_same_rounds():
    with pytest.raises(ValueError, match="same rounds"):
        ratio(timing([1, 2], [0, 1]), timing([1, 2], [1, 0]), resamples=10, seed=0)
