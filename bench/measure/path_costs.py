"""Measures what the paths through a multi-exit detector cost (`bench.exits.path_costs`).

The static exits take turns; every criterion is timed by itself, on views as an exit has them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from bench.exits.criteria import Criterion
from bench.exits.path_costs import CriterionCost, PathCosts
from bench.exits.policy import Policy, static
from bench.exits.view import View
from bench.measure.latency import LatencySamples, interleaved
from bench.runtimes import Deployed

REPEATS = 3


def measure_path_costs(
    deployed: Deployed,
    images: Sequence[NDArray[np.uint8]],
    flops: Sequence[int],
    criteria: Mapping[str, Criterion],
    *,
    warmup: int,
    seed: int,
) -> PathCosts:
    """Measure the path costs of a deployed detector.

    Args:
        deployed: the detector on its runtime, with E exits.
        images: uint8 [H, W, 3] each. Not those that choose or judge a policy: what is promised on val may not depend on
            them.
        flops: multiply-adds up to each exit, [E].
        criteria: the criteria to time, by name.
        warmup: untimed calls per contender.
        seed: orders the calls and deals the exits.

    Returns:
        Costs in ms and multiply-adds.
    """
    exits, rng = range(deployed.exits), np.random.default_rng(seed)
    policies = [static(exit, deployed.exits) for exit in exits]
    alone: dict[str, Callable[[NDArray[np.uint8]], int]] = {
        f"exit {exit}": partial(_taken, deployed, policies[exit]) for exit in exits
    }
    dealt: dict[str, Callable[[NDArray[np.uint8]], int]] = {
        f"dealt {exit}": lambda image: _taken(deployed, policies[rng.choice(exits)], image) for exit in exits
    }
    latencies = interleaved(alone | dealt, images, repeats=REPEATS, warmup=warmup, seed=seed)
    by_exit = [latencies[name] for name in alone]
    ms = tuple(one.mean for one in by_exit)
    extra = switch_cost(by_exit, [latencies[name] for name in dealt])
    return PathCosts(tuple(flops), ms, measure_criteria(deployed, images, criteria), extra)


def switch_cost(alone: Sequence[LatencySamples], dealt: Sequence[LatencySamples]) -> tuple[float, ...]:
    """Additional time of a call when calls leave at exits dealt out at random, per exit.

    Args:
        alone: one per exit, of calls that all leave there.
        dealt: of calls whose exit was drawn at random. All timed on the same images as `alone`, with indices
            ascending from 0.

    Returns:
        ms, [E]: the median over calls of the difference on the same image, at least 0; 0 for an exit that no call left
        at.
    """
    samples, images, exits = (
        np.concatenate([getattr(one, part) for one in dealt]) for part in ("samples", "images", "exits")
    )
    extra = samples - np.stack([one.per_image for one in alone])[exits, images]
    calls = [extra[exits == exit] for exit in range(len(alone))]
    return tuple(max(0.0, float(np.median(one))) if len(one) else 0.0 for one in calls)


def measure_criteria(
    deployed: Deployed, images: Sequence[NDArray[np.uint8]], criteria: Mapping[str, Criterion]
) -> dict[str, CriterionCost]:
    """Time every criterion at each exit but the last.

    Args:
        deployed: the detector on its runtime.
        images: uint8 [H, W, 3] each.
        criteria: the criteria to time, by name.

    Returns:
        The median over images, by name. Whatever a criterion needs of earlier exits is computed anew, so where it was
        evaluated there too, the figure is a little above what a real call takes.
    """
    spent: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in criteria}

    def watch(view: View) -> None:
        if view.exit == deployed.exits - 1:
            return
        for times, read in ((0, False), (1, True)):  # one after the other, so that neither finds caches warmer
            for name, criterion in criteria.items():
                unseen = fresh(view)
                if read:
                    unseen.detections  # noqa: B018  what an answer needs anyway
                spent[name][times].append(_ms(criterion, unseen))

    def medians(times: list[float]) -> tuple[float, ...]:
        return tuple(np.median(np.reshape(times, (len(images), -1)), axis=0).tolist())

    with torch.inference_mode():
        for image in images:
            deployed.every_exit(image, watch)
    return {name: CriterionCost(medians(staying), medians(leaving)) for name, (staying, leaving) in spent.items()}


def fresh(view: View) -> View:
    """Copy a view, and those before it, so that nothing has been computed yet.

    Args:
        view: of any exit.

    Returns:
        The copy.
    """
    return View(view.probabilities, view.code, view.read, view.previous and fresh(view.previous))


def _ms(criterion: Criterion, view: View) -> float:
    start = time.perf_counter_ns()
    criterion(view)
    return (time.perf_counter_ns() - start) / 1e6


def _taken(deployed: Deployed, policy: Policy, image: NDArray[np.uint8]) -> int:
    return deployed.detect(image, policy).exit
