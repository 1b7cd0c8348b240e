"""Which points nothing beats: cheaper or more accurate than every other.

As measured, and how probable that is on other test images, which move both the mAP and, where images leave early, the
mean time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.records import Record
from bench.stats import group_medians, resample
from models.errors import UserError


def frontier(points: Sequence[tuple[float, float]]) -> list[int]:
    """Find the points that no other point beats.

    A point is beaten by one that is no dearer and no worse, and better in one of the two; equal points stay together.

    Args:
        points: (cost, mAP) each.

    Returns:
        Indices, cheapest first.
    """
    kept: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if not kept or points[i][1] > points[kept[-1]][1] or points[i] == points[kept[-1]]:
            kept.append(i)
    return kept


def frontier_probability(records: Sequence[Record]) -> dict[str, float]:
    """Say how probable it is that a record is on the frontier of its runtime.

    Draw b sees every record's b-th mAP and b-th latency (`latency_replicates`), the same images for all of them.

    Args:
        records: of one run.

    Returns:
        By name, the share of the bootstrap draws in which it is on the frontier, in [0, 1].

    Raises:
        UserError: as `latency_replicates` does.
    """
    return {
        record.name: float(share)
        for here in _by_runtime(records)
        for record, share in zip(here, _shares_on_frontier(here), strict=True)
    }


def _shares_on_frontier(records: Sequence[Record]) -> NDArray[np.float64]:
    ms, ap = latency_replicates(records), np.array([r.map_bootstrap for r in records])
    no_worse = (ms[:, None] <= ms) & (ap[:, None] >= ap)
    better = (ms[:, None] < ms) | (ap[:, None] > ap)
    return 1 - (no_worse & better).any(axis=0).mean(axis=1)


def latency_replicates(records: Sequence[Record]) -> NDArray[np.float64]:
    """Draw the mean latency anew, on bootstrap draws of the timed images.

    A draw takes each image's median over repeats and averages them over the images drawn, as `LatencySamples.mean`
    does. All records see the same draws: what an image or a slow moment of the machine does to all of them cancels.
    Where every test image is timed they are the very draws behind `map_bootstrap`; where only some are, the noise of
    the two is taken for independent, which makes intervals of a point that trades one for the other a little too wide.

    Args:
        records: of one runtime.

    Returns:
        ms, float64 [records, R]; R as in `map_bootstrap`.

    Raises:
        UserError: the records were timed on different images, or differ in their numbers of resamples.
    """
    same_resamples(records)
    first = records[0]
    for record in records:
        if set(record.latency_ms.images) != set(first.latency_ms.images):
            what = f"timed on other images than {first.name}"
            raise UserError(what, where=record.name, fix="measure all of them in one run")
    per_image = np.array([group_medians(r.latency_ms.samples, r.latency_ms.images) for r in records])
    images = per_image.shape[1]
    draws = resample(images, len(first.map_bootstrap), first.seed)
    times = np.array([np.bincount(draw, minlength=images) for draw in draws])
    return per_image @ times.T / images


def same_resamples(records: Sequence[Record]) -> None:
    """Check that all records hold the same number of bootstrap resamples: others cannot be paired.

    Args:
        records: to be compared.

    Raises:
        UserError: they do not.
    """
    if len(counts := {len(r.map_bootstrap) for r in records}) > 1:
        what = f"the records hold different numbers of bootstrap resamples: {sorted(counts)}"
        raise UserError(what, fix="measure all of them in one run")


def _by_runtime(records: Sequence[Record]) -> list[list[Record]]:
    return [[r for r in records if r.runtime == runtime] for runtime in dict.fromkeys(r.runtime for r in records)]
