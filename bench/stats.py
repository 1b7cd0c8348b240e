"""The statistics under every number: paired bootstrap resamples of the test images, percentile intervals, intervals
of percentiles, and how many images a comparison needs. Method: Efron and Tibshirani, An Introduction to the Bootstrap,
ch. 13 and 14."""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_IMAGES = 10_000_000
TAIL = 0.025
POWER = 0.9


def resample(n: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """Indices 0..n-1 drawn with replacement: int64 [resamples, n]. The same arguments give the same draws, so
    detectors scored on the same rows are compared image by image."""
    return np.random.default_rng(seed).integers(0, n, size=(resamples, n))


def group_medians(samples: ArrayLike, groups: ArrayLike) -> NDArray[np.float64]:
    """The median of each group's samples, float64 [groups], by ascending group. samples: [n]; groups: int [n]."""
    order = np.lexsort((samples, groups))
    ordered = np.asarray(samples, float)[order]
    _, starts, sizes = np.unique(np.asarray(groups)[order], return_index=True, return_counts=True)
    return (ordered[starts + (sizes - 1) // 2] + ordered[starts + sizes // 2]) / 2


def interval(samples: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval (low, high) that holds the middle `level` (between 0 and 1) of the samples [n]."""
    low, high = np.quantile(np.asarray(samples, float), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def corrected_interval(samples: ArrayLike, estimate: float, level: float = 0.95) -> tuple[float, float]:
    """Bias-corrected percentile interval (low, high) of an estimate from its bootstrap replicates [n].

    Average precision takes the best precision of any higher recall, and so reads too high on few images; on resamples,
    which hold fewer images still, higher again. Where more than half of the replicates exceed the estimate both ends
    move down, twice as far in normal quantiles as the estimate lies below the median (Efron and Tibshirani, An
    Introduction to the Bootstrap, section 14.3, without acceleration). An estimate beyond all replicates counts as
    beyond all but half of one.
    """
    samples = np.asarray(samples, float)
    below = np.mean((samples < estimate) + 0.5 * (samples == estimate))
    shift = 2 * NormalDist().inv_cdf(float(np.clip(below, 0.5 / len(samples), 1 - 0.5 / len(samples))))
    ends = [NormalDist().cdf(shift + NormalDist().inv_cdf(p)) for p in ((1 - level) / 2, (1 + level) / 2)]
    low, high = np.quantile(samples, ends)
    return float(low), float(high)


def samples_needed(percent: float) -> int:
    """The fewest samples that hold a 95 % interval of their `percent`-th percentile.

    All n independent samples lie below the percentile with probability p^n, p = percent / 100, and none does with
    (1 - p)^n. Where either exceeds 2.5 %, no sample can be that end of the interval. Raises ValueError unless `percent`
    is between 0 and 100, both excluded.
    """
    if not 0 < percent < 100:
        raise ValueError(f"a percentile between 0 and 100 is needed, not {percent}")
    return math.ceil(math.log(TAIL) / math.log(max(percent, 100 - percent) / 100))


def percentile_interval(samples: ArrayLike, percent: float) -> tuple[float, float] | None:
    """95 % interval (low, high) of the `percent`-th percentile behind independent samples [n], in their unit; None
    when there are too few of them (`samples_needed`).

    Two of the samples themselves, whatever their distribution: how many of n lie below the percentile is binomial, and
    each end misses it with at most 2.5 % (Conover, Practical Nonparametric Statistics, 3rd ed. 1999, section 3.2).
    Raises ValueError unless `percent` is between 0 and 100, both excluded.
    """
    from scipy.stats import binom  # here, because it takes half a second that only a measurement needs to spend

    ordered = np.sort(np.asarray(samples, float))
    if len(ordered) < samples_needed(percent):
        return None
    low, high = binom.ppf([TAIL, 1 - TAIL], len(ordered), percent / 100).astype(int)
    return float(ordered[low - 1]), float(ordered[high])


def probability_above(a: ArrayLike, b: ArrayLike) -> float:
    """Share of paired replicates [n] in which a exceeds b, in [0, 1]; a tie counts as half."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return float(np.mean((a > b) + 0.5 * (a == b)))


def bonferroni(level: float, comparisons: int) -> float:
    """The level that each of several intervals needs for all of them to hold together at `level`."""
    return 1 - (1 - level) / comparisons


def images_to_decide(difference: float, bounds: tuple[float, float], images: int, level: float = 0.95) -> int | None:
    """About how many images would move 0 out of an interval of this level that holds it, nine times in ten (POWER), if
    the true difference is the one seen.

    The distance from the difference to the bound beyond 0 is z standard errors, which shrink with 1 / sqrt(images). To
    bring it down to the difference would do in half of the experiments only, for the difference varies too: it takes
    another 1.28 standard errors (Cohen, Statistical Power Analysis for the Behavioral Sciences, 2nd ed. 1988). Two
    significant digits, never below `images`; None for a difference of 0, or when ten million images would not do.
    """
    z, spare = NormalDist().inv_cdf((1 + level) / 2), NormalDist().inv_cdf(POWER)
    reach = (difference - bounds[0] if difference > 0 else bounds[1] - difference) * (1 + spare / z)
    if difference == 0 or (needed := images * max(1.0, (reach / difference) ** 2)) > MOST_IMAGES:
        return None
    step = 10 ** max(0, math.floor(math.log10(needed)) - 1)
    return math.ceil(needed / step) * step
