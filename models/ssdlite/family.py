"""SSDLite as a family."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.detector import Detector
from models.errors import UserError
from models.family import Family, Pruning, ScanRecipe, Shallower
from models.ssdlite import exits, network
from models.ssdlite.inspector import INSPECTOR

WEIGHTS = 'give a .pth file or "torchvision"'


def build(classes: tuple[str, ...], size: int, weights: str | None, queries: int | None) -> Detector:
    """A plain SSDLite, untrained or from stock weights; it has anchors, so `queries` is None."""
    return network.ssdlite(classes, size, weights)


def check(model: str, size: int, weights: str | None, queries: int | None) -> None:
    """Raise UserError for a weights file that is not there, and for queries."""
    if weights and weights != "torchvision" and not Path(weights).is_file():
        raise UserError("no such weights file", where=weights, fix=WEIGHTS)
    if queries is not None:
        raise UserError(f"{model} has no queries to choose", where="model.queries", fix="leave it out")


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
    detects=lambda weights: weights is not None,
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
)
