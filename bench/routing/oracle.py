"""The oracle: the exits that somebody who knows the boxes would give the images at a gate's cost.

Nobody knows them, so this is no policy: it is what gates are measured against.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.accuracy.matching import Matches
from bench.accuracy.pool import pooled

FREE = (1.0, 0.5, 0.25, 0.125, 0.0625) * 2  # share of the images that a step may move
ROUNDS = 4
HALVINGS = 60


def oracle(
    matches: Sequence[Matches], flops: Sequence[int], gates: Sequence[NDArray[np.integer]], seed: int = 0
) -> list[NDArray[np.integer]]:
    """For each gate, the exits with the best mAP found at no more FLOPs in all.

    A search starts at the best of what is affordable among the gates, the static exits, and what was found for smaller
    budgets: no result is below any of these, and a larger budget never gives a lower mAP. Each step spends the budget
    (`spend`) on what every image gains by a move of its own (`alone`), moving all of them or a random part, because
    gains do not add up when many move at once; it is kept when the true mAP grew.

    AP is no sum over images and the steps are greedy, so this is a strong reference and not a proven bound. Nor can a
    gate hope to reach it: it also profits from each exit's lucky hits, which nothing in an image foretells.

    Args:
        matches: one entry per exit.
        flops: cost of the path to each exit, in whole units, [E].
        gates: the exits that each gate chose, int [N] each.
        seed: of the random parts.

    Returns:
        Exits, int64 [N], for each gate.
    """
    costs, rng = np.asarray(flops, dtype=np.int64), np.random.default_rng(seed)
    images, exits = len(matches[0].image_ids), np.arange(len(matches))
    known = [(_map(matches, start), start) for start in (*(np.full(images, exit) for exit in exits), *gates)]
    found = {}
    for index in sorted(range(len(gates)), key=lambda index: costs[gates[index]].sum()):
        budget = costs[gates[index]].sum()
        reached, best = max((one for one in known if costs[one[1]].sum() <= budget), key=lambda one: one[0])
        for _ in range(ROUNDS):
            value, before = alone(matches, best), reached
            for free in FREE:
                open_to = (rng.random(images) < free)[:, None] | (exits == best[:, None])
                tried = spend(np.where(open_to, value, -np.inf), costs, budget)
                if (score := _map(matches, tried)) > reached:
                    reached, best = score, tried
            if reached == before:
                break
        known.append((reached, best))
        found[index] = best
    return [found[index] for index in range(len(gates))]


def alone(matches: Sequence[Matches], exits: NDArray[np.integer]) -> NDArray[np.float64]:
    """The mAP when one image moves to another exit and all others stay.

    Its negative is the per-image loss. It is taken from the true mAP, so it is defined for images without boxes too,
    where an exit costs the false alarms it raises, and it knows that a false alarm below most hits is cheap and one
    above them dear.

    Args:
        matches: one entry per exit.
        exits: where all images stay, int [N].

    Returns:
        float64 [N, E] in [0, 1].
    """
    value = np.full((len(exits), len(matches)), _map(matches, exits))
    image, exit = np.argwhere(exits[:, None] != np.arange(len(matches))).T
    moved = np.repeat(exits[None], len(image), axis=0)
    moved[np.arange(len(image)), image] = exit
    value[image, exit] = np.nan_to_num(pooled(tuple(matches)).map_many(moved))
    return value


def spend(value: NDArray[np.float64], costs: NDArray[np.int64], budget: int) -> NDArray[np.int64]:
    """The exits that add up the most value within a budget.

    Every image takes the exit with the largest value minus a price times its cost, at the lowest price that keeps the
    budget (Everett, Operations Research 11, 1963): the best for what it costs. Images that the price leaves undecided
    take their dearer exit in turn while the budget lasts.

    Args:
        value: of each exit for each image, float64 [N, E]; -inf where the image may not take it.
        costs: of each exit, int64 [E].
        budget: the most that all images together may cost; enough for the cheapest exit that each may take.

    Returns:
        Exits, int64 [N].
    """

    def at(price: float) -> NDArray[np.int64]:
        return np.argmax(value - price * costs, axis=1)

    low, high = 0.0, 1 / costs.max()
    if costs[at(low)].sum() <= budget:
        return at(low)
    while costs[at(high)].sum() > budget:
        low, high = high, 2 * high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if costs[at(middle)].sum() > budget else (low, middle)
    exits, dearer = at(high), at(low)
    left = budget - costs[exits].sum()
    for image in np.flatnonzero(exits != dearer):
        extra = costs[dearer[image]] - costs[exits[image]]
        if extra <= left:
            exits[image] = dearer[image]
            left -= extra
    return exits


def _map(matches: Sequence[Matches], exits: NDArray[np.integer]) -> float:
    return float(np.nan_to_num(pooled(tuple(matches)).map(exits)))
