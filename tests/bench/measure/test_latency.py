"""Latency with a clock that the contenders themselves advance, so every number is known beforehand."""

import gc
from collections import Counter
from itertools import count

import numpy as np
import pytest

from bench.measure.latency import SETTLE, TURN, LatencySamples, interleaved, ratio
from bench.stats import interval, percentile_interval, resample


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


def latency(samples, images):
    return LatencySamples(np.array(samples, float), np.array(images), np.zeros(len(samples), int))


def test_samples_images_and_exits_are_those_of_the_calls():
    machine = Machine()
    contenders = {
        "a": machine.contender("a", lambda image: 10 + image, exit_of=lambda image: image % 2),
        "b": machine.contender("b", lambda image: 5),
    }
    latencies = interleaved(contenders, photographs(4), repeats=3, warmup=0, seed=0, clock=machine.clock)
    a, b = latencies["a"], latencies["b"]
    assert Counter(a.images.tolist()) == {0: 3, 1: 3, 2: 3, 3: 3}
    np.testing.assert_array_equal(a.images, b.images)
    np.testing.assert_allclose(a.samples, 10 + a.images)
    np.testing.assert_array_equal(a.exits, a.images % 2)
    np.testing.assert_array_equal(b.exits, 0)
    np.testing.assert_allclose(a.per_image, [10, 11, 12, 13])


def test_every_round_gives_everyone_a_turn_on_the_same_images_in_varying_order():
    machine = Machine()
    names = ["a", "b", "c"]
    contenders = {name: machine.contender(name, lambda image: 1) for name in names}
    latencies = interleaved(contenders, photographs(200), repeats=12, warmup=0, seed=1, clock=machine.clock)
    turns = [machine.calls[i : i + SETTLE + TURN] for i in range(0, len(machine.calls), SETTLE + TURN)]
    assert all(len({name for name, _ in turn}) == 1 for turn in turns)
    rounds = [turns[i : i + 3] for i in range(0, len(turns), 3)]
    assert len(rounds) == 12 * 200 / TURN
    orders = Counter(tuple(turn[0][0] for turn in one) for one in rounds)
    assert all(sorted(order) == names for order in orders)
    assert all(abs(sum(n for order, n in orders.items() if order[0] == name) - 40) < 26 for name in names)  # 5 sigma
    assert len(orders) == 6
    seen = [[image for _, image in turn[SETTLE:]] for turn in rounds[0]]
    assert seen[0] == seen[1] == seen[2] == latencies["a"].images[:TURN].tolist()


def test_a_turn_begins_with_untimed_calls_on_its_own_images():
    machine = Machine()
    contenders = {name: machine.contender(name, lambda image: 1 + image) for name in "ab"}
    latencies = interleaved(contenders, photographs(3), repeats=9, warmup=0, seed=1, clock=machine.clock)
    assert len(machine.calls) == 2 * (27 + 2 * SETTLE)
    first, last = machine.calls[: SETTLE + TURN], machine.calls[-SETTLE - 7 :]
    for turn, part in ((first, slice(0, TURN)), (last, slice(TURN, 27))):
        images = latencies["a"].images[part].tolist()
        assert [image for _, image in turn] == [images[-1 - k] for k in range(SETTLE)] + images
    np.testing.assert_allclose(latencies["a"].samples, 1 + latencies["a"].images)


def test_the_seed_fixes_the_order():
    def order(seed):
        machine = Machine()
        contenders = {name: machine.contender(name, lambda image: 1) for name in "ab"}
        interleaved(contenders, photographs(20), repeats=1, warmup=0, seed=seed, clock=machine.clock)
        return machine.calls

    assert order(3) == order(3)
    assert order(3) != order(4)


def test_warmup_is_not_timed_and_progress_counts_images():
    machine, seen = Machine(), []
    contenders = {"a": machine.contender("a", lambda image: 1)}
    latencies = interleaved(
        contenders,
        photographs(3),
        repeats=2,
        warmup=5,
        seed=0,
        progress=lambda done, rounds: seen.append((done, rounds)),
        clock=machine.clock,
    )
    assert len(machine.calls) == 2 * 5 + SETTLE + 6
    assert [image for _, image in machine.calls[:10]] == [0, 1, 2, 0, 1] * 2
    assert len(latencies["a"].samples) == 6
    assert seen == [(i, 6) for i in range(1, 7)]


def warmed(warmup, **milliseconds):
    """Warm up contenders that take `milliseconds(call, image)` in their call 0, 1, ...: (rounds spent, steady)."""
    machine = Machine()

    def contender(name, of):
        calls = count()
        return machine.contender(name, lambda image: of(next(calls), image))

    contenders = {name: contender(name, of) for name, of in milliseconds.items()}
    latencies = interleaved(contenders, photographs(20), repeats=1, warmup=warmup, seed=0, clock=machine.clock)
    (outcome,) = {(one.warmup, one.steady) for one in latencies.values()}
    assert len(machine.calls) == len(contenders) * (outcome[0] + SETTLE + 20)
    return outcome


def settles_after(calls):
    return lambda call, image: 1 + max(0, calls - call)


def a_second(call, image):
    return 1000


def test_two_windows_warm_up_what_is_steady_from_the_start():
    assert warmed(5, a=a_second, b=a_second) == (10, True)


@pytest.mark.parametrize(("calls", "rounds"), [(8, 20), (12, 20), (13, 25), (30, 40)])
def test_warmup_goes_on_while_any_contender_gets_faster(calls, rounds):
    assert warmed(5, a=settles_after(calls), b=a_second) == (rounds, True)
    assert warmed(5, a=a_second, b=settles_after(calls)) == (rounds, True)


def test_warmup_gives_up_after_ten_windows():
    assert warmed(5, a=settles_after(43), b=a_second) == (50, False)
    assert warmed(5, a=settles_after(42), b=a_second) == (50, True)


def test_three_percent_a_window_is_steady_and_more_is_not():
    assert warmed(4, a=lambda call, image: 100 * 0.975 ** (call // 4)) == (8, True)
    assert warmed(4, a=lambda call, image: 100 * 0.965 ** (call // 4)) == (40, False)


def test_a_contender_that_gets_slower_is_warm():
    assert warmed(5, a=lambda call, image: 10 + call) == (10, True)


def test_neither_a_spike_nor_easier_images_look_like_a_contender_getting_faster():
    assert warmed(5, a=lambda call, image: 1000 if call == 2 else 10) == (10, True)
    assert warmed(5, a=lambda call, image: 100 - 4 * image) == (10, True)


@pytest.mark.filterwarnings("error")
def test_no_warmup_claims_no_steadiness():
    assert warmed(0, a=a_second) == (0, False)


def test_progress_is_not_timed():
    machine = Machine()

    def slow(done, rounds):
        machine.now += 10**9

    contenders = {"a": machine.contender("a", lambda image: 1)}
    latencies = interleaved(contenders, photographs(3), repeats=2, warmup=0, seed=0, progress=slow, clock=machine.clock)
    np.testing.assert_allclose(latencies["a"].samples, 1)


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
    one = latency(samples, np.arange(997))
    assert (one.p50, one.p90, one.p99) == tuple(np.percentile(samples, [50, 90, 99]))


@pytest.mark.parametrize(("percent", "enough"), [(90, 36), (99, 368)])
def test_percentile_intervals_are_those_of_all_samples_and_need_enough(percent, enough):
    samples = np.random.default_rng(0).gamma(2, 5, enough)
    name = f"p{percent}_interval"
    low, high = getattr(latency(samples, np.arange(enough)), name)
    assert (low, high) == percentile_interval(samples, percent)
    assert low < np.percentile(samples, percent) < high
    assert getattr(latency(samples[1:], np.arange(1, enough)), name) is None


def test_the_median_interval_covers_it_though_the_repeats_of_an_image_are_alike():
    rng, repeats, images = np.random.default_rng(0), 5, np.tile(np.arange(101), 5)
    hits = Counter()
    for seed in range(400):
        samples = rng.lognormal(0, 0.5, 101)[images] * rng.lognormal(0, 0.1, images.size)
        for kind, cluster in {"by image": images, "by sample": np.arange(images.size)}.items():
            low, high = latency(samples, cluster).p50_interval(200, seed)
            hits[kind] += low < 1 < high
    assert 0.92 < hits["by image"] / 400 < 0.98
    assert hits["by sample"] / 400 < 0.95 - 1 / repeats


def test_the_median_interval_is_that_of_medians_over_drawn_images():
    rng = np.random.default_rng(0)
    images = np.array([7, 3, 3, 5, 7, 7, 5, 9, 3, 3, 3])
    samples = rng.permutation(len(images)).astype(float)
    draws = resample(4, 300, seed=2)
    medians = [np.median(np.concatenate([samples[images == [3, 5, 7, 9][i]] for i in draw])) for draw in draws]
    assert latency(samples, images).p50_interval(300, 2) == interval(medians)


def test_mean_drops_spikes_and_keeps_both_modes_of_an_early_exit():
    images = np.tile(np.arange(10), 5)
    samples = np.where(images < 7, 2.0, 10.0)
    samples[3] = samples[48] = 1000.0
    one = latency(samples, images)
    assert one.mean == pytest.approx((7 * 2 + 3 * 10) / 10)
    assert one.p50 == 2.0


def test_ratio_recovers_a_planted_factor_through_noise_and_drift():
    machine, noise = Machine(), np.random.default_rng(0)
    content = noise.gamma(4, 2, 60)

    def busy(factor):
        return lambda image: factor * content[image] * (1 + machine.now / 1e11) * noise.lognormal(0, 0.1)

    contenders = {"slow": machine.contender("slow", busy(1.7)), "fast": machine.contender("fast", busy(1.0))}
    latencies = interleaved(contenders, photographs(60), repeats=7, warmup=0, seed=0, clock=machine.clock)
    middle, low, high = ratio(latencies["slow"], latencies["fast"], resamples=500, seed=0)
    assert middle == latencies["slow"].mean / latencies["fast"].mean
    assert low < 1.7 < high
    assert high - low < 0.15


def test_ratio_of_proportional_times_is_certain():
    samples, images = np.random.default_rng(1).gamma(2, 5, 40), np.arange(40)
    a, b = latency(3 * samples, images), latency(samples, images)
    assert ratio(a, b, resamples=50, seed=0) == pytest.approx((3, 3, 3))


def test_ratio_needs_the_same_rounds():
    with pytest.raises(ValueError, match="same rounds"):
        ratio(latency([1, 2], [0, 1]), latency([1, 2], [1, 0]), resamples=10, seed=0)


def test_the_interval_of_the_mean_is_that_of_means_over_drawn_images():
    images = np.array([7, 3, 3, 5, 7, 7, 5, 9, 3])
    one = latency(np.random.default_rng(0).gamma(2, 5, 9), images)
    means = [one.per_image[draw].mean() for draw in resample(4, 300, seed=2)]
    assert one.mean_interval(300, 2) == pytest.approx(interval(means))
    low, high = one.mean_interval(300, 2)
    assert low <= one.mean <= high


def test_the_interval_of_the_mean_covers_it():
    rng, repeats, images = np.random.default_rng(0), 3, np.tile(np.arange(80), 3)
    hits = 0
    for seed in range(400):
        exits = np.where(rng.random(80) < 0.5, 2.0, 10.0)  # what early exits make of time: two modes
        samples = exits[images] + rng.normal(0, 0.05, 80 * repeats)
        low, high = latency(samples, images).mean_interval(200, seed)
        hits += low < 6 < high
    assert 0.91 < hits / 400 < 0.98


def test_images_that_all_take_as_long_leave_no_doubt_about_the_mean():
    assert latency([3.0] * 6, [0, 1, 2] * 2).mean_interval(50, 0) == (3, 3)
