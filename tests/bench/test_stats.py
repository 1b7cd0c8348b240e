"""Intervals must cover what they claim to, and resamples must pair."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats import (
    bonferroni,
    corrected_interval,
    group_medians,
    images_to_decide,
    interval,
    percentile_interval,
    probability_above,
    resample,
    samples_needed,
)


def test_a_95_percent_interval_of_a_mean_covers_it_in_95_percent_of_experiments():
    rng = np.random.default_rng(0)
    draws = resample(200, 300, seed=1)
    hits = 0
    for _ in range(400):
        low, high = interval(rng.exponential(1.0, 200)[draws].mean(axis=1))
        hits += low < 1.0 < high
    assert 0.92 < hits / 400 < 0.98


def test_the_interval_of_normal_samples_is_the_closed_form():
    samples = np.random.default_rng(0).normal(3, 2, 200_000)
    assert interval(samples) == pytest.approx((3 - 1.96 * 2, 3 + 1.96 * 2), abs=0.05)
    assert interval(samples, 0.5) == pytest.approx((3 - 0.6745 * 2, 3 + 0.6745 * 2), abs=0.05)


def test_an_interval_without_bias_needs_no_correction():
    samples = np.random.default_rng(0).normal(3, 2, 1001)
    assert corrected_interval(samples, np.median(samples)) == pytest.approx(interval(samples), abs=0.01)
    assert corrected_interval(samples, np.median(samples), 0.5) == pytest.approx(interval(samples, 0.5), abs=0.01)


def test_a_shift_of_normal_replicates_is_taken_back_twice():
    """Replicates that lie 0.5 standard errors too high around the estimate, as it does around the truth."""
    samples = np.random.default_rng(0).normal(0.5, 1, 400_000)
    assert corrected_interval(samples, 0.0) == pytest.approx((-0.5 - 1.96, -0.5 + 1.96), abs=0.05)


@given(st.lists(st.floats(0.1, 1), min_size=2, max_size=50), st.floats(0, 1.1))
def test_a_corrected_interval_stays_among_the_replicates_and_moves_with_the_estimate(samples, estimate):
    low, high = corrected_interval(samples, estimate)
    assert min(samples) - 1e-12 <= low <= high <= max(samples) + 1e-12
    above = corrected_interval(samples, estimate + 0.1)
    assert above[0] >= low - 1e-12
    assert above[1] >= high - 1e-12


@given(st.lists(st.tuples(st.floats(0, 9), st.integers(-2, 3)), min_size=1, max_size=30))
def test_group_medians_are_the_medians_of_the_groups(pairs):
    samples, groups = map(np.array, zip(*pairs, strict=True))
    expected = [np.median(samples[groups == group]) for group in np.unique(groups)]
    assert group_medians(samples, groups).tolist() == expected


def ranks(n, percent):
    low, high = percentile_interval(np.random.default_rng(n).permutation(n) + 1, percent)
    return int(low), int(high)


def at_most(n, percent, k):
    """Exact probability that at most k of n samples lie below the percentile."""
    ways = sum(comb(n, i) * percent**i * (100 - percent) ** (n - i) for i in range(k + 1))
    return Fraction(ways, 100**n)


@pytest.mark.parametrize(("n", "percent", "expected"), [(6, 50, (1, 6)), (10, 50, (2, 9)), (100, 50, (40, 61))])
def test_median_ranks_are_the_textbooks(n, percent, expected):
    assert ranks(n, percent) == expected


@pytest.mark.parametrize("percent", [3, 25, 50, 90, 95, 99])
@pytest.mark.parametrize("times", [1, 1.5, 3])
def test_each_end_of_a_percentile_interval_is_the_nearest_that_misses_in_at_most_2_5_percent(percent, times):
    n = int(samples_needed(percent) * times)
    low, high = ranks(n, percent)
    assert at_most(n, percent, low - 1) <= 0.025 < at_most(n, percent, low)
    assert 1 - at_most(n, percent, high - 1) <= 0.025 < 1 - at_most(n, percent, high - 2)


@pytest.mark.parametrize(("percent", "needed"), [(50, 6), (90, 36), (99, 368), (1, 368), (99.9, 3688)])
def test_a_percentile_interval_exists_from_the_closed_form_of_samples_on(percent, needed):
    p = max(percent, 100 - percent) / 100
    assert p**needed <= 0.025 < p ** (needed - 1)
    assert samples_needed(percent) == needed
    assert percentile_interval(np.arange(needed - 1), percent) is None
    low, high = percentile_interval(np.arange(needed), percent)
    assert (low == 0) if percent < 50 else (high == needed - 1)


def test_a_percentile_interval_of_skewed_samples_covers_it():
    rng = np.random.default_rng(0)
    truth, hits = np.log(10), 0
    for _ in range(1000):
        low, high = percentile_interval(rng.exponential(1.0, 300), 90)
        hits += low < truth < high
    assert 0.935 < hits / 1000 < 0.98


@pytest.mark.parametrize("percent", [0, 100, -5, 150])
def test_what_is_no_percentile_has_no_interval(percent):
    with pytest.raises(ValueError, match="between 0 and 100"):
        percentile_interval(np.arange(1000), percent)


def test_resamples_repeat_with_the_seed_and_draw_every_image_alike():
    draws = resample(50, 2000, seed=3)
    assert draws.shape == (2000, 50)
    assert np.array_equal(draws, resample(50, 2000, seed=3))
    assert not np.array_equal(draws, resample(50, 2000, seed=4))
    counts = np.bincount(draws.ravel(), minlength=50)
    assert len(counts) == 50
    assert counts.min() > 1800
    assert counts.max() < 2200


def test_paired_resamples_cancel_what_the_images_share():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 1, 300)
    a, b = shared + 0.1, shared + rng.normal(0, 0.01, 300)
    draws = resample(300, 500, seed=0)
    low, high = interval(a[draws].mean(axis=1) - b[draws].mean(axis=1))
    assert 0.09 < low < high < 0.11


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_probability_above_and_its_reverse_make_one(pairs):
    a, b = zip(*pairs, strict=True)
    assert probability_above(a, b) + probability_above(b, a) == pytest.approx(1)
    assert probability_above(a, a) == 0.5
    assert probability_above(np.array(a) + 10, b) == 1


def test_bonferroni_splits_the_error_evenly():
    assert bonferroni(0.95, 1) == pytest.approx(0.95)
    assert bonferroni(0.95, 5) == pytest.approx(0.99)


@pytest.mark.parametrize(("level", "z"), [(0.95, 1.96), (0.99, 2.576)])
def test_that_many_images_decide_nine_times_in_ten(level, z):
    n, difference, sd = 500, 0.1, 2.0
    half = z * sd / np.sqrt(n)
    needed = images_to_decide(difference, (difference - half, difference + half), n, level)
    error = sd / np.sqrt(needed)
    seen = np.random.default_rng(0).normal(difference, error, 20_000)
    assert np.mean(seen - z * error > 0) == pytest.approx(0.9, abs=0.015)
    assert images_to_decide(-difference, (-difference - half, half - difference), n, level) == needed


def test_no_number_of_images_decides_a_tie():
    assert images_to_decide(0.0, (-0.1, 0.1), 600) is None
    assert images_to_decide(1e-6, (-0.1, 0.1), 600) is None


@given(st.floats(0.01, 0.5), st.floats(0, 0.5), st.integers(1, 5000))
def test_never_fewer_images_than_there_are(difference, beyond, images):
    needed = images_to_decide(difference, (-beyond, 1.0), images)
    assert needed is None or needed >= images
