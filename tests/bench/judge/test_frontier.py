"""The frontier, and how probable a place on it is, against counting by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.judge.frontier import frontier, frontier_probability, latency_replicates
from bench.measure.latency import LatencySamples
from bench.stats import probability_above, resample
from models.errors import UserError
from tests.support.made import STORED, made

POINTS = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), max_size=12)


@given(POINTS)
def test_the_frontier_is_what_nothing_beats(points):
    kept = frontier(points)
    assert sorted(kept) == [i for i, p in enumerate(points) if not beaten(p, points)]
    assert [points[i] for i in kept] == sorted(points[i] for i in kept)


def beaten(p, points):
    return any(q[0] <= p[0] and q[1] >= p[1] and tuple(q) != tuple(p) for q in points)


def sure(name, ap, ms, **changes):
    """A record whose accuracy and time are beyond doubt."""
    return made(name, ap, np.full(100, ap), [ms, ms], **changes)


def test_each_runtime_has_its_own_frontier():
    records = [sure("baseline", 0.5, 4.0), sure("quant", 0.3, 2.0), sure("prune", 0.2, 3.0)]
    records.append(sure("slow", 0.2, 9.0, runtime="eager"))
    assert frontier_probability(records) == {"baseline": 1, "quant": 1, "prune": 0, "slow": 1}


def timed(name, rng, images=30, resamples=200):
    """A record of unsure accuracy, timed three times on each image in an order of its own."""
    order = rng.permutation(np.repeat(np.arange(images) * 7, 3))
    record = made(name, 0.4, 0.4 + rng.normal(0, 0.02, resamples), rng.gamma(20, 0.1, 3 * images).tolist())
    latency = record.latency_ms.model_copy(update={"images": tuple(order.tolist())})
    return record.model_copy(update={"latency_ms": latency})


def test_a_replicate_is_the_mean_over_the_images_drawn():
    records = [timed(name, np.random.default_rng(k)) for k, name in enumerate(("a", "b", "c"))]
    found = latency_replicates(records)
    draws = resample(30, 200, STORED["seed"])
    for row, record in zip(found, records, strict=True):
        samples, images = np.array(record.latency_ms.samples), np.array(record.latency_ms.images)
        timing = LatencySamples(samples, images, np.zeros(90, int))
        assert row == pytest.approx(timing.per_image[draws].mean(axis=1))
        assert row.mean() == pytest.approx(timing.mean, rel=0.02)
    assert np.array_equal(found, latency_replicates(records))


def test_what_an_image_does_to_all_cancels():
    times = np.random.default_rng(0).gamma(4, 0.5, 50)
    records = [made(name, 0.4, np.full(300, 0.4), (k * times).tolist()) for k, name in ((1, "a"), (1.01, "b"))]
    fast, slow = latency_replicates(records)
    assert np.std(fast) > 0.05
    assert slow / fast == pytest.approx(np.full(300, 1.01), abs=1e-5)
    assert frontier_probability(records) == {"a": 1, "b": 0}


@pytest.mark.parametrize("seed", range(5))
def test_the_probability_is_the_share_of_draws_that_nothing_beats(seed):
    rng = np.random.default_rng(seed)
    records = [timed(f"r{k}", rng) for k in range(6)]
    maps, ms = np.array([r.map_bootstrap for r in records]), latency_replicates(records)
    found = frontier_probability(records)
    for k, record in enumerate(records):
        counted = [not beaten((t[k], m[k]), list(zip(t, m, strict=True))) for t, m in zip(ms.T, maps.T, strict=True)]
        assert found[record.name] == pytest.approx(np.mean(counted))
    assert 0 < min(found.values()) < max(found.values())


def test_at_equal_time_the_more_accurate_of_two_is_on_it():
    rng = np.random.default_rng(0)
    a, b = (made(name, 0.4, 0.4 + rng.normal(0, 0.1, 500), [3.0]) for name in "ab")
    above = probability_above(a.map_bootstrap, b.map_bootstrap)
    assert frontier_probability([a, b]) == pytest.approx({"a": above, "b": 1 - above})
    twin = b.model_copy(update={"name": "twin"})
    assert frontier_probability([b, twin]) == {"b": 1, "twin": 1}


def test_records_that_cannot_be_paired_are_refused():
    a, b = sure("a", 0.4, 3.0), made("b", 0.4, np.full(100, 0.4), [3.0])
    with pytest.raises(UserError, match="timed on other images than a"):
        frontier_probability([a, b])
    with pytest.raises(UserError, match=r"different numbers of bootstrap resamples: \[50, 100\]"):
        latency_replicates([a, made("b", 0.4, np.full(50, 0.4), [3.0, 3.0])])
    elsewhere = b.model_copy(update={"runtime": "eager"})
    assert frontier_probability([a, elsewhere]) == {"a": 1, "b": 1}
