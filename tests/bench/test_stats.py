"""Intervals must cover what they claim to, and resamples must pair."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats import bonferroni, images_to_decide, interval, probability_above, resample


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


def test_that_many_images_do_decide():
    n, difference, sd = 500, 0.1, 2.0
    half = 1.96 * sd / np.sqrt(n)
    needed = images_to_decide(difference, (difference - half, difference + half), n)
    assert 1.96 * sd / np.sqrt(needed) == pytest.approx(difference, rel=0.06)
    assert images_to_decide(-difference, (-difference - half, half - difference), n) == needed


def test_no_number_of_images_decides_a_tie():
    assert images_to_decide(0.0, (-0.1, 0.1), 600) is None
    assert images_to_decide(1e-6, (-0.1, 0.1), 600) is None


@given(st.floats(0.01, 0.5), st.floats(0, 0.5), st.integers(1, 5000))
def test_never_fewer_images_than_there_are(difference, beyond, images):
    needed = images_to_decide(difference, (-beyond, 1.0), images)
    assert needed is None or needed >= images
