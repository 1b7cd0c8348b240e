"""Milliseconds, measured so that contenders can be compared. All contenders take turns on the same image in a
freshly shuffled order, so that a slow moment of the machine strikes them alike, and every raw sample is
kept."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.stats import interval, resample

Contender = Callable[[np.ndarray], int]


@dataclass(frozen=True, eq=False)
class Timing:
    """One contender's calls, one per round.

    samples: float64 [rounds], ms. images: int64 [rounds], which image. exits: int64 [rounds], which exit
    answered.
    """

    samples: np.ndarray
    images: np.ndarray
    exits: np.ndarray

    @property
    def per_image(self) -> np.ndarray:
        """The median over repeats of each image, float64 [images], in ms."""
        by_image = np.argsort(self.images, kind="stable")
        _, starts = np.unique(self.images[by_image], return_index=True)
        return np.array([np.median(part) for part in np.split(self.samples[by_image], starts[1:])])

    @property
    def mean(self) -> float:
        """The mean over images of each image's median over repeats, in ms.

        The inner median drops the spikes of a busy machine. Over images it has to be a mean: early exits make
        times bimodal, and a median would report the time of whichever exit answers most images.
        """
        return float(np.mean(self.per_image))

    @property
    def p50(self) -> float:
        """The median of all samples, in ms."""
        return self._percentile(50)

    @property
    def p90(self) -> float:
        """The time that nine calls in ten stay under, in ms."""
        return self._percentile(90)

    @property
    def p99(self) -> float:
        """The time that 99 calls in 100 stay under, in ms; below about 1,000 samples it is noise."""
        return self._percentile(99)

    def _percentile(self, percent: float) -> float:
        return float(np.percentile(self.samples, percent))


def interleaved(
    contenders: Mapping[str, Contender],
    images: Sequence[np.ndarray],
    *,
    repeats: int,
    warmup: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> dict[str, Timing]:
    """Time every contender on every image, `repeats` times, round by round.

    contenders: name -> what takes one uint8 [H, W, 3] image and returns the exit that answered (0 when there is only
    one); whatever runs asynchronously has to be waited for inside. Every round takes one image and calls each contender
    on it once, in a new random order; every pass over the images takes them in a new random order too. Before each
    timed call the contender answers the image of the round before, untimed: it finds its weights and threads as warm as
    in a program that runs this one detector all day. Garbage is collected between passes only.
    warmup: rounds before the timed ones. progress: called as (rounds done, rounds in all) between rounds; a
    display that redraws from a thread of its own would be timed as well. clock: nanoseconds.
    """
    rng = np.random.default_rng(seed)
    names = list(contenders)
    passes = np.array([rng.permutation(len(images)) for _ in range(repeats)], dtype=np.int64)
    samples = np.empty((len(names), passes.size))
    exits = np.empty((len(names), passes.size), dtype=np.int64)
    for done in range(warmup):
        for name in names:
            contenders[name](images[done % len(images)])
    was_enabled = gc.isenabled()
    gc.disable()
    before = images[-1]
    try:
        for done, image in enumerate(passes.ravel()):
            if done % len(images) == 0:
                gc.collect()
            pixels = images[image]
            for k in rng.permutation(len(names)):
                call = contenders[names[k]]
                call(before)
                start = clock()
                taken = call(pixels)
                samples[k, done] = (clock() - start) / 1e6
                exits[k, done] = taken
            before = pixels
            if progress is not None:
                progress(done + 1, passes.size)
    finally:
        if was_enabled:
            gc.enable()
    return {name: Timing(samples[k], passes.ravel(), exits[k]) for k, name in enumerate(names)}


def ratio(a: Timing, b: Timing, *, resamples: int, seed: int) -> tuple[float, float, float]:
    """How many times as long `a` takes as `b`, `a.mean / b.mean`, with a 95 % interval: (ratio, low, high).

    Percentile bootstrap over images, both contenders on the same draws (Efron and Tibshirani, An Introduction
    to the Bootstrap, 1993). Raises ValueError unless both were timed in the same rounds.
    """
    if not np.array_equal(a.images, b.images):
        raise ValueError("a ratio needs timings from the same rounds")
    times = np.stack([a.per_image, b.per_image])
    means = np.array([times[:, draw].mean(axis=1) for draw in resample(times.shape[1], resamples, seed)])
    return a.mean / b.mean, *interval(means[:, 0] / means[:, 1])
