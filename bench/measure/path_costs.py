"""Measuring what the ways through a multi-exit detector cost (`bench.exits.path_costs`): the static exits taking turns,
and every criterion by itself on views as an exit has them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch

from bench.exits.criteria import Criterion
from bench.exits.path_costs import Look, Prices
from bench.exits.policy import Policy, static
from bench.exits.view import View
from bench.measure.latency import Timing, interleaved
from bench.runtimes import Deployed

REPEATS = 3


def prices(
    deployed: Deployed,
    images: Sequence[np.ndarray],
    flops: Sequence[int],
    criteria: Mapping[str, Criterion],
    *,
    warmup: int,
    seed: int,
) -> Prices:
    """Prices of a deployed detector on images, uint8 [H, W, 3] each, which must not be those that choose or judge a
    policy: what is promised on val may not depend on them. flops: of the path to each exit."""
    exits, rng = range(deployed.exits), np.random.default_rng(seed)
    policies = [static(exit, deployed.exits) for exit in exits]
    alone = {f"exit {exit}": partial(_taken, deployed, policies[exit]) for exit in exits}
    dealt = {f"dealt {exit}": lambda image: _taken(deployed, policies[rng.choice(exits)], image) for exit in exits}
    timings = interleaved(alone | dealt, images, repeats=REPEATS, warmup=warmup, seed=seed)
    by_exit = [timings[name] for name in alone]
    ms = tuple(timing.mean for timing in by_exit)
    extra = mixing(by_exit, [timings[name] for name in dealt])
    return Prices(tuple(flops), ms, looks(deployed, images, criteria), extra)


def mixing(alone: Sequence[Timing], dealt: Sequence[Timing]) -> tuple[float, ...]:
    """ms, [E], that a call takes longer when calls leave at exits dealt out at random than when all of them leave at
    its exit (alone[exit]), on the same image: the median over calls, at least 0. All timed on the same images, their
    places ascending from 0."""
    samples, images, exits = (
        np.concatenate([getattr(one, part) for one in dealt]) for part in ("samples", "images", "exits")
    )
    extra = samples - np.stack([one.per_image for one in alone])[exits, images]
    calls = [extra[exits == exit] for exit in range(len(alone))]
    return tuple(max(0.0, float(np.median(one))) if len(one) else 0.0 for one in calls)


def looks(deployed: Deployed, images: Sequence[np.ndarray], criteria: Mapping[str, Criterion]) -> dict[str, Look]:
    """What each criterion takes at each exit but the last: the median over images. What it asks of earlier exits is
    computed anew, so where they were looked at too this is a little more than it takes."""
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

    with torch.inference_mode():
        for image in images:
            deployed.every_exit(image, watch)
    return {
        name: Look(*(tuple(np.median(np.reshape(kind, (len(images), -1)), axis=0).tolist()) for kind in both))
        for name, both in spent.items()
    }


def fresh(view: View) -> View:
    """The same view with nothing computed yet."""
    return View(view.probabilities, view.code, view.read, view.previous and fresh(view.previous))


def _ms(criterion: Criterion, view: View) -> float:
    start = time.perf_counter_ns()
    criterion(view)
    return (time.perf_counter_ns() - start) / 1e6


def _taken(deployed: Deployed, policy: Policy, image: np.ndarray) -> int:
    return deployed.detect(image, policy).exit
