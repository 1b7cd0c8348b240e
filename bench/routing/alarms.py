"""Alarms: what is plainly wrong with a detector or a policy, in sentences.

These are faults that leave every number computable and make all of them meaningless. A sound detector raises none; an
alarm says where to look, it proves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from bench.accuracy.coco import bootstrap_map
from bench.accuracy.matching import Matches
from bench.accuracy.pool import pooled
from bench.stats import bonferroni, interval
from models.temperature import CLAMP

NOTHING = 0.05  # AP50; first exits for persons had 0.19 to 0.38, those trained on anchors dealt at random 0.01 to 0.05
COLLAPSED = 0.98  # share of the images at one exit: what is left is too little to be called a choice
LEVEL = 0.95  # of all intervals together that set an inner exit against the last one
RESAMPLES = 1000
SPREAD = 0.05  # sound exits spread by less on under 1 % of the photographs with people, hardly trained ones on all
UNIFORM = 0.9  # share of the images with boxes on which scores spread by less than SPREAD
OFFSETS = 0.05  # share of the images with a box out of range: a sound exit has hardly any, a tiny object may be one
END = 0.01  # how close to an end of its range a temperature counts as having run into it


def detector_alarms(
    matches: Sequence[Matches], health: Mapping[str, NDArray[np.float64]], temperatures: Sequence[float], seed: int
) -> tuple[str, ...]:
    """Everything that is wrong with E exits, in sentences.

    Args:
        matches: one entry per exit.
        health: exit health (`bench.exits.health`), float64 [N, E] each, in the order of the matches' image ids.
        temperatures: one per exit.
        seed: of the bootstrap.

    Returns:
        The alarms; none for a sound detector.
    """
    return tuple(chain.from_iterable(detector_faults(matches, health, temperatures, seed).values()))


def detector_faults(
    matches: Sequence[Matches], health: Mapping[str, NDArray[np.float64]], temperatures: Sequence[float], seed: int
) -> dict[str, Sequence[str]]:
    """Everything that is wrong with E exits, by the kind of fault.

    Args:
        matches: one entry per exit.
        health: exit health (`bench.exits.health`), float64 [N, E] each, in the order of the matches' image ids.
        temperatures: one per exit.
        seed: of the bootstrap.

    Returns:
        Sentences by kind of fault; empty for a kind that was not found.
    """
    return {
        "detects nothing": detects_nothing(matches),
        "upside down": upside_down(matches, seed),
        "uniform scores": uniform(health["spread"][with_boxes(matches[-1])]),
        "boxes out of range": out_of_range(health["offset"]),
        "temperature": runaway(temperatures),
    }


def policy_alarms(exits: NDArray[np.integer], count: int) -> tuple[str, ...]:
    """What is wrong with a gate: that it has collapsed, and nearly all images take the same exit.

    Args:
        exits: the exit of each image, int [N].
        count: how many exits there are.

    Returns:
        The alarm, or nothing.
    """
    if count == 1:
        return ()
    shares = np.bincount(exits, minlength=count) / len(exits)
    most = int(shares.argmax())
    if shares[most] <= COLLAPSED:
        return ()
    meaning = "hardly anybody leaves early" if most == count - 1 else "it is a shallower network in disguise"
    what = f"{_name(most)} answers {_percent(shares[most])} of the images: the gate has collapsed, {meaning}"
    return (f"{what}; suspect its thresholds, or a criterion that tells no images apart",)


def detects_nothing(matches: Sequence[Matches]) -> list[str]:
    """Exits that find next to none of the boxes there are, by AP50.

    Args:
        matches: one entry per exit.

    Returns:
        A sentence for each such exit; none where there is nothing to find.
    """
    everywhere = np.repeat(np.arange(len(matches))[:, None], len(matches[0].image_ids), axis=1)
    reached = pooled(tuple(matches)).map_many(everywhere, metric="map50")
    return [
        f"{_name(exit)} has AP50 {ap:.3f}: it detects nothing, whatever its losses, scores or speed say"
        for exit, ap in enumerate(reached)
        if ap < NOTHING
    ]


def upside_down(matches: Sequence[Matches], seed: int) -> list[str]:
    """Inner exits with a better mAP than the last one beyond noise.

    Beyond noise: the paired bootstrap interval of the difference lies above 0, Bonferroni-corrected for the number of
    inner exits.

    Args:
        matches: one entry per exit.
        seed: of the bootstrap.

    Returns:
        A sentence for each such exit.
    """
    images, inner = len(matches[0].image_ids), len(matches) - 1
    routings = [np.full(images, exit) for exit in range(len(matches))]
    reached = [float(np.nan_to_num(pooled(tuple(matches)).map(routing))) for routing in routings]
    better = [exit for exit in range(inner) if reached[exit] > reached[-1]]
    drawn = {exit: np.nan_to_num(bootstrap_map(matches, routings[exit], RESAMPLES, seed)) for exit in (*better, inner)}
    return [
        f"{_name(exit)} has mAP {reached[exit]:.3f}, above the last exit's {reached[-1]:.3f} beyond noise: "
        "the last exit is undertrained or broken"
        for exit in better
        if interval(drawn[exit] - drawn[inner], bonferroni(LEVEL, inner))[0] > 0
    ]


def uniform(spread: NDArray[np.float64]) -> list[str]:
    """Exits that give all places of the image nearly the same score.

    Args:
        spread: of the foreground probabilities, float64 [N, E], on images with something to find.

    Returns:
        A sentence for each such exit.
    """
    if len(spread) == 0:
        return []
    shares = (spread < SPREAD).mean(axis=0)
    return [
        f"{_name(exit)} gives all anchors nearly the same score on {_percent(share)} of the images with boxes (median "
        f"spread {np.median(spread[:, exit]):.3f}): it is untrained or diverged, or conversion broke it"
        for exit, share in enumerate(shares)
        if share > UNIFORM
    ]


def out_of_range(offset: NDArray[np.float64]) -> list[str]:
    """Exits whose boxes lie further from their anchors than is plausible.

    Args:
        offset: of the boxes, as a multiple of what is plausible, float64 [N, E].

    Returns:
        A sentence for each such exit.
    """
    shares = (offset > 1).mean(axis=0)
    return [
        f"{_name(exit)} answers with box offsets {_reach(offset[:, exit].max())} on {_percent(share)} of the images: "
        "its box head diverged, or code and anchors do not belong together"
        for exit, share in enumerate(shares)
        if share > OFFSETS
    ]


def runaway(temperatures: Sequence[float]) -> list[str]:
    """Exits whose temperature ran into an end of `models.temperature.CLAMP`, or is not a number.

    Args:
        temperatures: one per exit.

    Returns:
        A sentence for each such exit.
    """
    low, high = CLAMP
    found = []
    for exit, temperature in enumerate(temperatures):
        if not math.isfinite(temperature):
            found.append(f"{_name(exit)} has temperature {temperature}: its scores are not numbers, it diverged")
        elif temperature <= low * (1 + END) or temperature >= high * (1 - END):
            sure = "too unsure" if temperature < 1 else "too sure"
            found.append(
                f"{_name(exit)} has temperature {temperature:.2f}, at the end of {low} to {high}: "
                f"its scores are {sure} to be calibrated, suspect its training or the images it was fitted on"
            )
    return found


def with_boxes(matches: Matches) -> NDArray[np.bool_]:
    """Which images hold something to find.

    Args:
        matches: of any exit.

    Returns:
        bool [N], in the order of the image ids.
    """
    ascending = np.argsort(np.argsort(matches.image_ids))
    return np.isin(ascending, matches.wanted[1])


def _name(exit: int) -> str:
    return f"exit {exit + 1}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _reach(most: float) -> str:
    return f"of up to {most:.1f} times the plausible" if math.isfinite(most) else "that are not finite"
