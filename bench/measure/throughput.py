"""The offline scenario: as many images as there are, a batch at a time, and only the total counts. What MLPerf calls
offline (Reddi and others 2020), with the batches of all contenders interleaved as in latency.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.exits.policy import Policy
from bench.measure.latency import Timing, interleaved
from bench.runtimes.batched import Batched


@dataclass(frozen=True)
class Throughput:
    """One contender's batches. batch: images in each. regrouping: share of the time, in [0, 1], that went into moving
    images which stay into smaller batches. timing: of whole batches, ms each."""

    batch: int
    timing: Timing
    regrouping: float

    @property
    def images_per_second(self) -> float:
        return 1000 * self.batch / self.timing.mean


def throughput(
    contenders: Mapping[str, tuple[Batched, Policy]],
    images: Sequence[np.ndarray],
    *,
    batch: int,
    repeats: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Throughput]:
    """Time every contender on the images, `batch` at a time; images that fill no batch are left out.

    Raises ValueError when there are fewer images than `batch`."""
    whole = len(images) // batch
    if not whole:
        raise ValueError(f"{len(images)} images do not fill a batch of {batch}")
    batches = [list(images[batch * k : batch * (k + 1)]) for k in range(whole)]
    shares = {name: regrouping_share(one, policy, batches) for name, (one, policy) in contenders.items()}
    calls = {name: _call(one, policy) for name, (one, policy) in contenders.items()}
    timings = interleaved(calls, batches, repeats=repeats, warmup=1, seed=seed, progress=progress)
    return {name: Throughput(batch, timings[name], shares[name]) for name in contenders}


def regrouping_share(one: Batched, policy: Policy, batches: Sequence[list[np.ndarray]]) -> float:
    """Share of the time that regrouping takes, over a second pass: the first compiles every batch size it needs."""
    for images in batches:
        one.detect(images, policy)
    before, start = one.regrouping, time.perf_counter()
    for images in batches:
        one.detect(images, policy)
    return (one.regrouping - before) / (time.perf_counter() - start)


def _call(one: Batched, policy: Policy) -> Callable[[list[np.ndarray]], int]:
    return lambda images: max(answer.exit for answer in one.detect(images, policy))
