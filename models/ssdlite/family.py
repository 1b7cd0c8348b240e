"""SSDLite as a family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.class_rows import without_row
from models.detector import Detector
from models.errors import UserError
from models.family import Family, Pruning, ScanRecipe, Shallower
from models.ssdlite import exits, network
from models.ssdlite.inspector import INSPECTOR
from models.ssdlite.weights import DOWNLOAD, WEIGHTS, in_order, loaded, rows_in


def build(classes: tuple[str, ...], size: int, weights: str | None, queries: int | None) -> Detector:
    """A plain SSDLite, untrained or from weights; it has anchors, so `queries` is None."""
    return network.ssdlite(classes, size, weights)


def check(model: str, size: int, weights: str | None, queries: int | None) -> None:
    """Raise UserError for queries, and for a file without weights of this network."""
    if queries is not None:
        raise UserError(f"{model} has no queries to choose", where="model.queries", fix="leave it out")
    if weights is not None and weights != DOWNLOAD:
        loaded(weights)


def fresh(weights: str | None, classes: tuple[str, ...]) -> tuple[str, ...]:
    """The classes that these weights have no rows for."""
    return classes if weights is None else without_row(classes, rows_in(weights, classes))


def all_positions(positions: tuple[int, ...], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The options of early_exit that put exits at all positions.

    Args:
        positions: trunk blocks after which an exit stands.
        chosen: options of early_exit; "width" is that of every head.
    """
    options = dict(chosen)
    widths = (options.pop("width"),) * len(positions)
    return {"after": positions, "widths": widths, "previous_exit_context": "none", "joint_epochs": 0, **options}


FAMILY = Family(
    name="ssdlite",
    title="SSDLite",
    models={"ssdlite": build},
    check=check,
    weights=WEIGHTS,
    fresh=fresh,
    in_order=in_order,
    exits=("early_exit", "resolution_exit"),
    resized=network.resized,
    shallower=Shallower(exits.shallower, usual=(8, 12), widths=True, alone=exits.alone),
    pruning=Pruning(),
    inspector=INSPECTOR,
    scan=ScanRecipe(
        "early_exit",
        INSPECTOR.positions,
        {"epochs": 8, "learning_rate": 3e-3, "augmentations": 2, "width": 128, "distil": 3.0, "labels": 0.0},
        all_positions,
    ),
    smallest_batch=2,  # its last feature map is one cell, of which batch norm has no variance in a single image
    trunk_rates=network.trunk_rates,
)
