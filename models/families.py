"""The detectors that can be asked for by name, and what can be done to a detector whatever its family."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from models.detector import Detector, Lessons
from models.errors import UserError, unknown
from models.inspector import BLOCKS, LAYERS, Sight
from models.ssdlite import exits
from models.ssdlite import network as ssdlite
from models.yolos import auxiliary as lessons
from models.yolos import network as yolos
from models.yolos import weights as yolos_weights

Build = Callable[[tuple[str, ...], int, str | None, int | None], Detector]


def build_ssdlite(classes: tuple[str, ...], size: int, weights: str | None, queries: int | None) -> Detector:
    """A plain SSDLite, untrained or from stock weights; it has anchors, so `queries` is None."""
    return ssdlite.ssdlite(classes, size, weights)


def build_yolos(
    classes: tuple[str, ...], size: int, weights: str | None, queries: int | None, *, kind: str
) -> Detector:
    """A plain YOLOS: untrained, around a trunk (a safetensors file), or transformers' own (a name or a folder), which
    has the queries it was trained with. None: as many as usual."""
    chosen = {} if queries is None else {"queries": queries}
    if weights is None:
        return yolos.scratch(classes, size, kind, **chosen)
    if Path(weights).suffix == ".safetensors":
        return yolos_weights.trunk(classes, size, kind, Path(weights), **chosen)
    return yolos_weights.stock(classes, size, weights)


MODELS: dict[str, Build] = {
    "ssdlite": build_ssdlite,
    "yolos": partial(build_yolos, kind="nano"),
    **{f"yolos-{kind}": partial(build_yolos, kind=kind) for kind in ("tiny", "small", "base")},
}


WEIGHTS = {
    "ssdlite": 'give a .pth file or "torchvision"',
    "yolos": "give a trunk as .safetensors, a folder that transformers saved, or a model's name",
}
FITTING = {
    "ssdlite": "leave it out; SSDLite has early_exit and resolution_exit",
    "yolos": "leave it out; YOLOS has multi_exit_yolos and resolution_exit",
}


def check(name: str, size: int, weights: str | None, queries: int | None = None) -> None:
    """UserError for what can be known to fail before anything is built: the name, a side, a weights file, a number of
    queries."""
    if name not in MODELS:
        raise unknown("model", name, MODELS, where="--model")
    if family_of(name) == "yolos":
        yolos.check_size(size)
        a_file = weights and Path(weights).suffix == ".safetensors"
    else:
        a_file = weights and weights != "torchvision"
    if a_file and not Path(weights).is_file():
        raise UserError("no such weights file", where=weights, fix=WEIGHTS[family_of(name)])
    if queries is not None:
        check_queries(name, weights, queries)


def check_queries(name: str, weights: str | None, queries: int) -> None:
    """UserError where the number of queries is not free, or they fill no square grid."""
    if family_of(name) != "yolos" or detects(weights):
        holder = f"{name} from these weights" if family_of(name) == "yolos" else name
        raise UserError(f"{holder} has no queries to choose", where="model.queries", fix="leave it out")
    if math.isqrt(queries) ** 2 != queries:
        fix = f"use a square number, such as {math.isqrt(queries) ** 2}"
        raise UserError(f"{queries} queries fill no square grid", where="model.queries", fix=fix)


def build(name: str, classes: tuple[str, ...], size: int, weights: str | None, queries: int | None = None) -> Detector:
    """A plain one-exit detector for `classes` at `size` px, untrained or from weights. queries: of a YOLOS that brings
    none, on a square grid."""
    check(name, size, weights, queries)
    return MODELS[name](classes, size, weights, queries)


def detects(weights: str | None) -> bool:
    """Whether a detector that starts from these weights can detect already: not from none, nor from a trunk alone."""
    return weights is not None and Path(weights).suffix != ".safetensors"


def origin(weights: str | None) -> str:
    """What a detector that starts from these weights starts from, in words."""
    if weights is None:
        return "from scratch"
    return "from stock weights" if detects(weights) else "around a trained trunk"


@dataclass(frozen=True)
class Shallower:
    """How a network is cut short. make: (detector, after, width?) -> a one-exit detector that ends after a block or
    layer, and the modules that it has from the whole one; ValueError where it cannot be cut. usual: where it is cut
    when nothing is said. widths: whether its heads are new and need a width. alone: (a chain, the index of an exit) ->
    the one-exit detector that ends there, with the chain's own weights."""

    make: Callable[..., tuple[Detector, tuple[nn.Module, ...]]]
    usual: tuple[int, ...]
    widths: bool
    alone: Callable[[Detector, int], Detector]


@dataclass(frozen=True)
class Family:
    """resized: (detector, size) -> a copy for inputs of another size, with the same weights. sight: how its trunk is
    looked into. heads: the projections to queries, keys and values of all attention, with their numbers of heads.
    recount: sets these numbers anew when heads have been pruned away. trunk_rates: (detector, rate, decay) -> factors
    of a learning rate by the beginning of parameter names, decaying from the last layer down; None where a trunk has
    no equal layers. lessons: (detector, options) -> what the detector is asked in training; None where it is asked for
    nothing but its losses."""

    resized: Callable[[Detector, int], Detector]
    shallower: Shallower
    sight: Sight
    heads: Callable[[Detector], dict[nn.Linear, int]] = lambda detector: {}
    recount: Callable[[Detector], None] = lambda detector: None
    trunk_rates: Callable[[Detector, float, float], dict[str, float]] | None = None
    lessons: Callable[[Detector, Mapping[str, Any]], Lessons] | None = None


FAMILIES = {
    "ssdlite": Family(
        ssdlite.resized, Shallower(exits.shallower, usual=(8, 12), widths=True, alone=exits.alone), BLOCKS
    ),
    "yolos": Family(
        yolos.resized,
        Shallower(yolos.shallower, usual=(3, 6), widths=False, alone=yolos.alone),
        LAYERS,
        yolos.attention_heads,
        yolos.recount_heads,
        yolos.trunk_rates,
        lessons.chosen,
    ),
}


def family(detector: Detector) -> Family:
    return FAMILIES[detector.family]


def family_of(model: str) -> str:
    """The family of a model's name."""
    return model.split("-")[0]


def require(found: str, wanted: str, *, where: str) -> None:
    """UserError unless a family is the one wanted: what cuts one network cannot cut another."""
    if found != wanted:
        raise UserError(f"it is for {wanted}, not for {found}", where=where, fix=FITTING[found])


def resized(detector: Detector, size: int) -> Detector:
    """A copy with the same weights for square inputs of another size."""
    return family(detector).resized(detector, size)


def trunk_rates(detector: Detector, rate: float, decay: float) -> dict[str, float]:
    """Factors of a learning rate for a trunk that was trained before (`Family`); none for 1 and 1, where everything
    learns alike. UserError where there are no layers to tell apart."""
    if rate == decay == 1:
        return {}
    found = family(detector).trunk_rates
    if found is None:
        fix = "leave it out"
        raise UserError(f"{detector.family} has no rates layer by layer", where="trunk_rate, decay", fix=fix)
    return found(detector, rate, decay)


def lessons_of(detector: Detector, options: Mapping[str, Any]) -> Lessons:
    """What a detector is asked in training, with these options of its family. UserError where there are none."""
    found = family(detector).lessons
    if found is None:
        raise UserError(f"{detector.family} has no lessons to choose", where="strategy baseline", fix="leave them out")
    return found(detector, options)
