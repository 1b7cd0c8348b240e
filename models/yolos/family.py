"""YOLOS as a family."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import torch

from models.class_rows import COCO_NAMES, known_by_order, without_row
from models.detector import Detector
from models.errors import UserError
from models.family import Family, Pruning, ScanRecipe, Shallower
from models.weights import read
from models.yolos import auxiliary, network
from models.yolos.inspector import INSPECTOR
from models.yolos.weights import (
    CLASSES,
    WEIGHTS,
    config_of,
    count_of,
    counted_rows,
    named_rows,
    names_of,
    own,
    stock,
    trunk,
)

FILES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
KINDS = {"yolos": "nano", **{f"yolos-{kind}": kind for kind in ("tiny", "small", "base")}}  # by the model's name


def build(classes: tuple[str, ...], size: int, weights: str | None, queries: int | None, *, kind: str) -> Detector:
    """A plain YOLOS: untrained, around a trunk, or transformers' own.

    Args:
        classes: what it is to find.
        size: side of the square input, in px.
        weights: None for an untrained one; a file with a trunk or with a whole YOLOS, which are told apart by their
            keys; or the name or folder of a checkpoint. What is whole has the queries it was trained with.
        queries: how many; None: as many as usual.
        kind: a key of `models.yolos.network.SIZES`.
    """
    chosen = {} if queries is None else {"queries": queries}
    if weights is None:
        made = network.scratch(classes, size, kind, **chosen)
    elif is_trunk(weights):
        made = trunk(classes, size, kind, Path(weights), **chosen)
    elif is_file(weights):
        made = own(classes, size, kind, weights)
    else:
        made = stock(classes, size, weights)
    made.auxiliary_losses = auxiliary.AuxiliaryLosses()
    return made


def is_file(weights: str) -> bool:
    """Whether these weights are a file, or meant to be one, and no name or folder."""
    return Path(weights).is_file() or (Path(weights).suffix in FILES and not Path(weights).is_dir())


def is_trunk(weights: str) -> bool:
    """Whether these weights are a file that has no class head."""
    return is_file(weights) and CLASSES not in read(weights, WEIGHTS)


def fresh(weights: str | None, classes: tuple[str, ...]) -> tuple[str, ...]:
    """The classes that these weights have no rows for; a trunk has none."""
    if weights is None:
        return classes
    if not is_file(weights):
        return without_row(classes, named_rows(config_of(weights), classes))
    state = read(weights, WEIGHTS)
    return without_row(classes, counted_rows(len(state[CLASSES]) - 1, classes)) if CLASSES in state else classes


def in_order(weights: str, classes: tuple[str, ...]) -> bool:
    """Whether the rows of these weights stand for the classes by their order alone."""
    if is_file(weights):
        state = read(weights, WEIGHTS)
        return CLASSES in state and known_by_order(len(state[CLASSES]) - 1, len(COCO_NAMES), classes)
    config = config_of(weights)
    return names_of(config) is None and known_by_order(count_of(config), len(COCO_NAMES), classes)


def check(model: str, size: int, weights: str | None, queries: int | None) -> None:
    """Refuse what can be known to fail before a detector is built; what lies on the hub is not asked for.

    Raises:
        UserError: for a side that patches do not fill, queries that are not free or fill no square grid, and files and
            folders without weights of this network.
    """
    network.check_size(size)
    free = weights is None or is_trunk(weights)
    if queries is not None and not free:
        what = f"{model} from these weights has no queries to choose"
        raise UserError(what, where="model.queries", fix="leave it out")
    if queries is not None and math.isqrt(queries) ** 2 != queries:
        fix = f"use a square number, such as {math.isqrt(queries) ** 2}"
        raise UserError(f"{queries} queries fill no square grid", where="model.queries", fix=fix)
    if weights is not None and Path(weights).exists():
        with torch.random.fork_rng(devices=()):  # what is built afterwards begins as if nothing had been tried
            build(("object",), size, weights, queries, kind=KINDS[model])


FAMILY = Family(
    name="yolos",
    title="YOLOS",
    models={model: partial(build, kind=kind) for model, kind in KINDS.items()},
    check=check,
    weights=WEIGHTS,
    fresh=fresh,
    in_order=in_order,
    trunk=is_trunk,
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
