"""The statistics under every number.

Paired bootstrap resamples of the test images, percentile intervals, intervals of percentiles, and how many images a
comparison needs. Method: Efron and Tibshirani, An Introduction to the Bootstrap, ch. 13 and 14.
"""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_IMAGES = 10_000_000
TAIL = 0.025
POWER = 0.9


def resample(n: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """Indices drawn with replacement, for the bootstrap.

    The same arguments give the same draws, so detectors scored on the same rows are compared image by image.

    Args:
        n: how many rows there are.
        resamples: how many draws of n rows.
        seed: of the draws.

    Returns:
        Indices in 0..n-1, int64 [resamples, n].
    """
    return np.random.default_rng(seed).integers(0, n, size=(resamples, n))


def group_medians(samples: ArrayLike, groups: ArrayLike) -> NDArray[np.float64]:
    """The median of each group's samples.

    Args:
        samples: [n].
        groups: which group each sample is in, int [n].

    Returns:
        float64 [groups], by ascending group.
    """
    samples, groups = np.asarray(samples, float), np.asarray(groups)
    order = np.lexsort((samples, groups))
    ordered = samples[order]
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    return (ordered[starts + (sizes - 1) // 2] + ordered[starts + sizes // 2]) / 2


def interval(samples: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval: holds the middle part of the samples.

    Args:
        samples: [n].
        level: share of the samples inside, between 0 and 1.

    Returns:
        (low, high), in the samples' unit.
    """
    low, high = np.quantile(np.asarray(samples, float), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def corrected_interval(samples: ArrayLike, estimate: float, level: float = 0.95) -> tuple[float, float]:
    """Bias-corrected percentile interval of an estimate from its bootstrap replicates.

    Average precision takes the best precision of any higher recall. So it reads too high on few images, and higher
    again on resamples, which hold fewer images still. Where more than half of the replicates exceed the estimate, both
    ends move down, by twice as many normal quantiles as the estimate lies below the median (Efron and Tibshirani, An
    Introduction to the Bootstrap, section 14.3, without acceleration). An estimate beyond all replicates counts as
    beyond all but half of one.

    Args:
        samples: bootstrap replicates, [n].
        estimate: the estimate on the sample itself.
        level: of the interval, between 0 and 1.

    Returns:
        (low, high), in the unit of the estimate.
    """
    samples = np.asarray(samples, float)
    below = np.mean((samples < estimate) + 0.5 * (samples == estimate))
    shift = 2 * NormalDist().inv_cdf(float(np.clip(below, 0.5 / len(samples), 1 - 0.5 / len(samples))))
    ends = [NormalDist().cdf(shift + NormalDist().inv_cdf(p)) for p in ((1 - level) / 2, (1 + level) / 2)]
    low, high = np.quantile(samples, ends)
    return float(low), float(high)


def samples_needed(percent: float) -> int:
    """The fewest samples that hold a 95 % interval of a percentile.

    All n independent samples lie below the percentile with probability p^n, p = percent / 100, and none does with (1 -
    p)^n. Where either exceeds 2.5 %, no sample can be that end of the interval.

    Args:
        percent: which percentile, between 0 and 100, both excluded.

    Returns:
        The number of samples.

    Raises:
        ValueError: percent is out of range.
    """
    if not 0 < percent < 100:
        raise ValueError(f"a percentile between 0 and 100 is needed, not {percent}")
    return math.ceil(math.log(TAIL) / math.log(max(percent, 100 - percent) / 100))


def percentile_interval(samples: ArrayLike, percent: float) -> tuple[float, float] | None:
    """95 % interval of a percentile of the distribution behind independent samples.

    Its ends are two of the samples themselves, whatever their distribution: how many of n lie below the percentile is
    binomial, and each end misses it with at most 2.5 % (Conover, Practical Nonparametric Statistics, 3rd ed. 1999,
    section 3.2).

    Args:
        samples: [n].
        percent: which percentile, between 0 and 100, both excluded.

    Returns:
        (low, high) in the samples' unit; None when there are too few samples (`samples_needed`).

    Raises:
        ValueError: percent is out of range.
    """
    from scipy.stats import binom  # here, because it takes half a second that only a measurement needs to spend

    ordered = np.sort(np.asarray(samples, float))
    if len(ordered) < samples_needed(percent):
        return None
    low, high = (int(binom.ppf(tail, len(ordered), percent / 100)) for tail in (TAIL, 1 - TAIL))
    return float(ordered[low - 1]), float(ordered[high])


def probability_above(a: ArrayLike, b: ArrayLike) -> float:
    """Share of paired replicates in which one exceeds the other; a tie counts as half.

    Args:
        a: replicates, [n].
        b: replicates paired with those of `a`, [n].

    Returns:
        Share in [0, 1].
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    return float(np.mean((a > b) + 0.5 * (a == b)))


def bonferroni(level: float, comparisons: int) -> float:
    """The level that each of several intervals needs for all of them to hold together (Bonferroni correction).

    Args:
        level: of all intervals together, between 0 and 1.
        comparisons: how many intervals, at least 1.

    Returns:
        The level of each interval.
    """
    return 1 - (1 - level) / comparisons


def images_to_decide(difference: float, bounds: tuple[float, float], images: int, level: float = 0.95) -> int | None:
    """About how many images would move 0 out of an interval, nine times in ten (POWER).

    This takes the measured difference for the true one. The distance from the difference to the bound beyond 0 is z
    standard errors, which shrink with 1 / sqrt(images). To shrink it to the difference itself would be enough in half
    of the experiments only, for the difference varies too: it takes another 1.28 standard errors (Cohen, Statistical
    Power Analysis for the Behavioral Sciences, 2nd ed. 1988).

    Args:
        difference: as measured.
        bounds: its interval (low, high), which holds 0.
        images: how many images it was measured on.
        level: of the interval, between 0 and 1.

    Returns:
        Images, two significant digits, never below `images`; None for a difference of 0, or when ten million images
        would not be enough.
    """
    z, spare = NormalDist().inv_cdf((1 + level) / 2), NormalDist().inv_cdf(POWER)
    reach = (difference - bounds[0] if difference > 0 else bounds[1] - difference) * (1 + spare / z)
    if difference == 0 or (needed := images * max(1.0, (reach / difference) ** 2)) > MOST_IMAGES:
        return None
    step = 10 ** max(0, math.floor(math.log10(needed)) - 1)
    return math.ceil(needed / step) * step
