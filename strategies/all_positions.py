"""Exits wherever a network can have one, as a scan of positions asks for them: heads alone, on the frozen trunk, none
of them reading what another said. How is the family's to say (`models.family.ScanRecipe`)."""

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
    """The blocks or layers after which a one-exit detector could have another exit. UserError where there are none."""
    return tuple(scan(family(detector)).positions(detector))


def options_of(of: Family, given: Mapping[str, Any]) -> dict[str, Any]:
    """How the heads of a family's detectors are trained.

    Args:
        of: the family.
        given: options by name; None: as usual.

    Raises:
        UserError: for an option that the family has not.
    """
    usual = scan(of).usual
    chosen = {name: value for name, value in given.items() if value is not None}
    for name in chosen.keys() - usual.keys():
        raise UserError(f"{of.name} has no {name} to choose", where=f"--{name}", fix="leave it out")
    return {**usual, **chosen}


def exits_at_all_positions(detector: Detector, positions: tuple[int, ...], options: Mapping[str, Any]) -> Strategy:
    """The strategy that trains an exit after each position; options: all that `options_of` gives."""
    recipe = scan(family(detector))
    return registry.build(recipe.strategy, {recipe.strategy: recipe.options(positions, options)})
