"""Exits wherever a network can have one, as a scan of positions asks for them.

Heads alone are trained, on the frozen trunk, and none of them reads the answer of another. How is the family's to say
(`models.family.ScanRecipe`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.detector import Detector
from models.errors import UserError
from models.families import family, scan
from models.family import Family
from strategies import registry
from strategies.base import Strategy


def positions_of(detector: Detector) -> tuple[int, ...]:
    """List the blocks or layers after which a one-exit detector could have another exit.

    Args:
        detector: plain, with one exit.

    Raises:
        UserError: its family has no such scan.
    """
    return tuple(scan(family(detector)).positions(detector))


def options_of(of: Family, given: Mapping[str, Any]) -> dict[str, Any]:
    """Say how the heads of a family's detectors are trained.

    Args:
        of: the family.
        given: options by name; None: as usual.

    Returns:
        All options by name.

    Raises:
        UserError: an option that the family has not.
    """
    usual = scan(of).usual
    chosen = {name: value for name, value in given.items() if value is not None}
    for name in chosen.keys() - usual.keys():
        raise UserError(f"{of.name} has no {name} to choose", where=f"--{name}", fix="leave it out")
    return {**usual, **chosen}


def exits_at_all_positions(detector: Detector, positions: tuple[int, ...], options: Mapping[str, Any]) -> Strategy:
    """Build the strategy that trains an exit after each position.

    Args:
        detector: plain, with one exit.
        positions: blocks or layers, increasing.
        options: all that `options_of` gives.
    """
    recipe = scan(family(detector))
    return registry.build(recipe.strategy, {recipe.strategy: recipe.options(positions, options)})
