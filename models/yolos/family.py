"""YOLOS as a family."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

from models.detector import Detector
from models.errors import UserError
from models.family import Family, Pruning, ScanRecipe, Shallower
from models.yolos import auxiliary, network
from models.yolos.inspector import INSPECTOR
from models.yolos.weights import stock, trunk

WEIGHTS = "give a trunk as .safetensors, a folder that transformers saved, or a model's name"


def build(classes: tuple[str, ...], size: int, weights: str | None, queries: int | None, *, kind: str) -> Detector:
    """A plain YOLOS: untrained, around a trunk, or transformers' own.

    Args:
        classes: what it is to find.
        size: side of the square input, in px.
        weights: None for an untrained one, a safetensors file for a trunk, or the name or folder of a checkpoint, which
            has the queries it was trained with.
        queries: how many; None: as many as usual.
        kind: a key of `models.yolos.network.SIZES`.
    """
    chosen = {} if queries is None else {"queries": queries}
    if weights is None:
        made = network.scratch(classes, size, kind, **chosen)
    elif is_trunk(weights):
        made = trunk(classes, size, kind, Path(weights), **chosen)
    else:
        made = stock(classes, size, weights)
    made.auxiliary_losses = auxiliary.AuxiliaryLosses()
    return made


def is_trunk(weights: str | None) -> bool:
    """Whether these weights are of a trunk alone."""
    return weights is not None and Path(weights).suffix == ".safetensors"


def detects(weights: str | None) -> bool:
    """Whether a YOLOS that starts from these weights can detect already: not from none, nor from a trunk alone."""
    return weights is not None and not is_trunk(weights)


def check(model: str, size: int, weights: str | None, queries: int | None) -> None:
    """Refuse what can be known to fail before a detector is built.

    Raises:
        UserError: for a side that patches do not fill, a trunk's file that is not there, and queries that are not free
            or fill no square grid.
    """
    network.check_size(size)
    if weights and is_trunk(weights) and not Path(weights).is_file():
        raise UserError("no such weights file", where=weights, fix=WEIGHTS)
    if queries is None:
        return
    if detects(weights):
        what = f"{model} from these weights has no queries to choose"
        raise UserError(what, where="model.queries", fix="leave it out")
    if math.isqrt(queries) ** 2 != queries:
        fix = f"use a square number, such as {math.isqrt(queries) ** 2}"
        raise UserError(f"{queries} queries fill no square grid", where="model.queries", fix=fix)


FAMILY = Family(
    name="yolos",
    title="YOLOS",
    models={
        "yolos": partial(build, kind="nano"),
        **{f"yolos-{kind}": partial(build, kind=kind) for kind in ("tiny", "small", "base")},
    },
    check=check,
    weights=WEIGHTS,
    detects=detects,
    exits=("multi_exit_yolos", "resolution_exit"),
    resized=network.resized,
    shallower=Shallower(network.shallower, usual=(3, 6), widths=False, alone=network.alone),
    pruning=Pruning(network.attention_heads, network.recount_heads),
    inspector=INSPECTOR,
    scan=ScanRecipe(
        "multi_exit_yolos",
        lambda detector: INSPECTOR.positions(detector)[:-1],  # after the last one it has its own
        {"epochs": 8, "learning_rate": 1e-3, "augmentations": 2, "distil": 1.0, "labels": 1.0},
        lambda positions, chosen: {"after": positions, "joint_epochs": 0, **chosen},
    ),
    trunk_rates=network.trunk_rates,
    auxiliary_losses=auxiliary.chosen,
)
