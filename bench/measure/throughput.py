"""Throughput in the offline scenario: as many images as there are, a batch at a time, and only the total counts.

This is what MLPerf calls offline (Reddi and others 2020), with the batches of all contenders interleaved as in
`bench.measure.latency`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.exits.policy import Policy
from bench.measure.latency import LatencySamples, interleaved
from bench.runtimes.batched import Batched


@dataclass(frozen=True)
class ThroughputSamples:
    """One contender's throughput.

    Attributes:
        batch: images in a batch.
        latency: of whole batches, ms each.
        regrouping: share of the time, in [0, 1], that went into moving the images which stay into smaller batches.
    """

    batch: int
    latency: LatencySamples
    regrouping: float

    @property
    def images_per_second(self) -> float:
        """Images per second, from the mean time of a batch."""
        return 1000 * self.batch / self.latency.mean


def throughput(
    contenders: Mapping[str, tuple[Batched, Policy]],
    images: Sequence[NDArray[np.uint8]],
    *,
    batch: int,
    repeats: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, ThroughputSamples]:
    """Time every contender on batches of the images, in turns.

    Args:
        contenders: a batched detector and its policy, by name.
        images: uint8 [H, W, 3] each; those that fill no batch are left out.
        batch: images in a batch.
        repeats: passes over the batches.
        seed: of the orders.
        progress: called as (batches done, batches in all) between the timed rounds.

    Returns:
        Samples by name.

    Raises:
        ValueError: there are fewer images than one batch holds.
    """
    whole = len(images) // batch
    if not whole:
        raise ValueError(f"{len(images)} images do not fill a batch of {batch}")
    batches = [list(images[batch * k : batch * (k + 1)]) for k in range(whole)]
    shares = {name: regrouping_share(one, policy, batches) for name, (one, policy) in contenders.items()}
    calls = {name: _call(one, policy) for name, (one, policy) in contenders.items()}
    latencies = interleaved(calls, batches, repeats=repeats, warmup=1, seed=seed, progress=progress)
    return {name: ThroughputSamples(batch, latencies[name], shares[name]) for name in contenders}


def regrouping_share(one: Batched, policy: Policy, batches: Sequence[list[NDArray[np.uint8]]]) -> float:
    """Share of the time that regrouping takes, over a second pass: the first compiles every batch size it needs.

    Args:
        one: the batched detector.
        policy: decides which images leave where.
        batches: images, uint8 [H, W, 3] each, batch by batch.

    Returns:
        Share in [0, 1].
    """
    for images in batches:
        one.detect(images, policy)
    before, start = one.regrouping, time.perf_counter()
    for images in batches:
        one.detect(images, policy)
    return (one.regrouping - before) / (time.perf_counter() - start)


def _call(one: Batched, policy: Policy) -> Callable[[list[NDArray[np.uint8]]], int]:
    return lambda images: max(answer.exit for answer in one.detect(images, policy))
