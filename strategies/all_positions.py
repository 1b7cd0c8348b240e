"""Exits wherever a network can have one, as a scan of positions asks for them: heads alone, on the frozen trunk, none
of them told what another said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.detector import Detector
from models.errors import UserError
from models.inspector import BLOCKS, LAYERS
from strategies.base import Strategy
from strategies.early_exit import EarlyExit
from strategies.multi_exit_yolos import MultiExitYolos


@dataclass(frozen=True)
class Way:
    """places: (detector) -> blocks or layers after which there could be another exit. usual: how the heads are trained
    when nothing is said, as the family's own strategy understands it; width: of every head. make: (places, all options)
    -> the strategy."""

    places: Callable[[Detector], Sequence[int]]
    usual: Mapping[str, Any]
    make: Callable[..., Strategy]


def of_ssdlite(places: Sequence[int], width: int, **options: Any) -> Strategy:
    widths = (width,) * len(places)
    return EarlyExit(after=tuple(places), widths=widths, context="none", joint_epochs=0, **options)


def of_yolos(places: Sequence[int], **options: Any) -> Strategy:
    return MultiExitYolos(after=tuple(places), joint_epochs=0, **options)


WAYS = {
    "ssdlite": Way(
        BLOCKS.places,
        {"epochs": 8, "rate": 3e-3, "views": 2, "width": 128, "distil": 3.0, "labels": 0.0},
        of_ssdlite,
    ),
    "yolos": Way(
        lambda detector: LAYERS.places(detector)[:-1],  # after the last one it has its own
        {"epochs": 8, "rate": 1e-3, "views": 2, "distil": 1.0, "labels": 1.0},
        of_yolos,
    ),
}


def places_of(detector: Detector) -> tuple[int, ...]:
    """The blocks or layers after which a one-exit detector could have another exit."""
    return tuple(WAYS[detector.family].places(detector))


def options_of(family: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The usual options, overlaid by those that are given and not None. UserError for one the family has not."""
    usual = WAYS[family].usual
    chosen = {name: value for name, value in given.items() if value is not None}
    for name in chosen.keys() - usual.keys():
        raise UserError(f"{family} has no {name} to choose", where=f"--{name}", fix="leave it out")
    return {**usual, **chosen}


def everywhere(detector: Detector, places: Sequence[int], options: Mapping[str, Any]) -> Strategy:
    """The strategy that trains an exit after each of a detector's places; options: all that `options_of` gives."""
    return WAYS[detector.family].make(places, **options)
