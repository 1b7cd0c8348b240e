"""Latency in milliseconds, measured so that contenders can be compared.

All contenders take turns on the same images in a freshly shuffled order, so that a slow moment of the machine strikes
them alike, and every raw sample is kept.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.stats import group_medians, interval, percentile_interval, resample

Input = TypeVar("Input")  # an image, or a batch of them
Contender = Callable[[NDArray[np.uint8]], int]  # answers an image and returns the exit that answered
Clock = Callable[[], int]

TURN, SETTLE = 20, 5  # timed and, before them, untimed calls of one contender in a row
WINDOWS = 10
STEADY = 0.97


@dataclass(frozen=True, eq=False)
class LatencySamples:
    """One contender's timed calls, one per round.

    Attributes:
        samples: ms of each call, float64 [rounds].
        images: which image, int64 [rounds].
        exits: which exit answered, int64 [rounds].
        warmup: rounds of warm-up before the timed ones.
        steady: whether the warm-up ended because no contender got faster any more; False when it ran into its limit, or
            was not checked.
    """

    samples: NDArray[np.float64]
    images: NDArray[np.int64]
    exits: NDArray[np.int64]
    warmup: int = 0
    steady: bool = False

    @property
    def per_image(self) -> NDArray[np.float64]:
        """The median over repeats of each image, float64 [images], in ms."""
        return group_medians(self.samples, self.images)

    @property
    def mean(self) -> float:
        """The mean over images of each image's median over repeats, in ms.

        The inner median drops the spikes of a busy machine. Over images it has to be a mean: early exits make times
        bimodal, and a median would report the time of whichever exit answers most images.
        """
        return float(np.mean(self.per_image))

    def mean_interval(self, resamples: int, seed: int) -> tuple[float, float]:
        """95 % interval of the mean: percentile bootstrap over images.

        Args:
            resamples: how many draws.
            seed: of the draws.

        Returns:
            (low, high) in ms.
        """
        times = self.per_image
        return interval(times[resample(len(times), resamples, seed)].mean(axis=1))

    @property
    def p50(self) -> float:
        """The median of all samples, in ms."""
        return self._percentile(50)

    def p50_interval(self, resamples: int, seed: int) -> tuple[float, float]:
        """95 % interval of p50.

        Percentile bootstrap that draws images and takes all repeats of a drawn image along: the repeats resemble each
        other, so they say less than as many images would (Davison and Hinkley, Bootstrap Methods and their Application,
        1997, section 3.8). Holds resamples x samples counts in memory.

        Args:
            resamples: how many draws.
            seed: of the draws.

        Returns:
            (low, high) in ms.
        """
        ascending = np.argsort(self.samples)
        distinct, image = np.unique(self.images[ascending], return_inverse=True)
        draws = resample(len(distinct), resamples, seed)
        row = np.arange(resamples)[:, None] * len(distinct)
        times_drawn = np.bincount((draws + row).ravel(), minlength=draws.size).reshape(draws.shape)
        up_to = np.cumsum(times_drawn[:, image], axis=1)
        middle = [np.argmax(up_to > rank, axis=1) for rank in ((up_to[:, -1:] - 1) // 2, up_to[:, -1:] // 2)]
        return interval(self.samples[ascending][middle].mean(axis=0))

    @property
    def p90(self) -> float:
        """The time that nine calls in ten stay under, in ms."""
        return self._percentile(90)

    @property
    def p90_interval(self) -> tuple[float, float] | None:
        """95 % interval (low, high) of p90, in ms; None below 36 samples.

        It takes the samples for independent, and is too narrow as far as the repeats of an image resemble each other.
        """
        return percentile_interval(self.samples, 90)

    @property
    def p99(self) -> float:
        """The time that 99 calls in 100 stay under, in ms; noise where `p99_interval` is None."""
        return self._percentile(99)

    @property
    def p99_interval(self) -> tuple[float, float] | None:
        """95 % interval (low, high) of p99, in ms; None below 368 samples.

        It takes the samples for independent, and is too narrow as far as the repeats of an image resemble each other.
        """
        return percentile_interval(self.samples, 99)

    def _percentile(self, percent: float) -> float:
        return float(np.percentile(self.samples, percent))


def interleaved(
    contenders: Mapping[str, Callable[[Input], int]],
    images: Sequence[Input],
    *,
    repeats: int,
    warmup: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    clock: Clock = time.perf_counter_ns,
) -> dict[str, LatencySamples]:
    """Time every contender on every image several times, in turns.

    Every round takes TURN images and calls each contender on all of them in a row, contenders in a new random order;
    every pass over the images takes them in a new random order too. A turn begins with SETTLE untimed calls, so that a
    contender finds caches and threads as warm as in a program that runs this one detector all day: after a single one
    int8 read 1.45 times as fast as fp32, after five 1.6 times, after twenty 1.7 times. Garbage is collected between
    passes only.

    Args:
        contenders: by name, what takes one input and returns the exit that answered (0 when there is only one).
            Whatever runs asynchronously has to be waited for inside.
        images: the inputs, usually uint8 [H, W, 3] each.
        repeats: passes over the images.
        warmup: rounds in a window of warm-up. Windows follow each other until, for every contender, the median of the
            last is no more than 3 % below that of the one before: two windows at least, ten at most. 0 skips the
            warm-up.
        seed: of all orders.
        progress: called as (images done, images in all) between the timed rounds. A display that redraws from a thread
            of its own would be timed as well.
        clock: returns nanoseconds.

    Returns:
        Latency samples by name, all on the same rounds.
    """
    rng = np.random.default_rng(seed)
    names = list(contenders)
    passes = np.array([rng.permutation(len(images)) for _ in range(repeats)], dtype=np.int64)
    samples = np.empty((len(names), passes.size))
    exits = np.empty((len(names), passes.size), dtype=np.int64)
    spent, steady = _warm_up(list(contenders.values()), images, warmup, clock)
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for begin in range(0, passes.size, TURN):
            if begin % len(images) < TURN:
                gc.collect()
            turn = range(begin, min(begin + TURN, passes.size))
            pixels = [images[passes.flat[done]] for done in turn]
            for k in rng.permutation(len(names)):
                call = contenders[names[k]]
                for settling in range(SETTLE):
                    call(pixels[-1 - settling % len(pixels)])
                for done, image in zip(turn, pixels, strict=True):
                    samples[k, done], exits[k, done] = _timed(call, image, clock)
            if progress is not None:
                for done in turn:
                    progress(done + 1, passes.size)
    finally:
        if was_enabled:
            gc.enable()
    return {name: LatencySamples(samples[k], passes.ravel(), exits[k], spent, steady) for k, name in enumerate(names)}


def _warm_up(
    contenders: Sequence[Callable[[Input], int]], images: Sequence[Input], rounds: int, clock: Clock
) -> tuple[int, bool]:
    """Windows of `rounds` rounds until no contender gets faster, or WINDOWS are spent: (rounds spent, steady)."""
    if rounds == 0:
        return 0, False
    before = _window(contenders, images, rounds, clock)
    for windows in range(2, WINDOWS + 1):
        last = _window(contenders, images, rounds, clock)
        if (last >= STEADY * before).all():
            return windows * rounds, True
        before = last
    return WINDOWS * rounds, False


def _window(
    contenders: Sequence[Callable[[Input], int]], images: Sequence[Input], rounds: int, clock: Clock
) -> NDArray[np.float64]:
    """The median time of each contender over `rounds` rounds, float64 [contenders], in ms.

    Always on the same images, so that windows differ by the state of the machine and not by what early exits make of
    other images.
    """
    pixels = [images[i % len(images)] for i in range(rounds)]
    return np.median([[_timed(call, image, clock)[0] for call in contenders] for image in pixels], axis=0)


def _timed(call: Callable[[Input], int], pixels: Input, clock: Clock) -> tuple[float, int]:
    """One call: (ms, the exit that answered)."""
    start = clock()
    taken = call(pixels)
    return (clock() - start) / 1e6, taken


def ratio(a: LatencySamples, b: LatencySamples, *, resamples: int, seed: int) -> tuple[float, float, float]:
    """How many times as long one contender takes as another, with a 95 % interval.

    Percentile bootstrap over images, both contenders on the same draws (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993).

    Args:
        a: the contender above the line.
        b: the contender below it.
        resamples: how many draws.
        seed: of the draws.

    Returns:
        (a.mean / b.mean, low, high).

    Raises:
        ValueError: the two were not timed in the same rounds.
    """
    if not np.array_equal(a.images, b.images):
        raise ValueError("a ratio needs samples from the same rounds")
    times = np.stack([a.per_image, b.per_image])
    means = np.array([times[:, draw].mean(axis=1) for draw in resample(times.shape[1], resamples, seed)])
    return a.mean / b.mean, *interval(means[:, 0] / means[:, 1])
