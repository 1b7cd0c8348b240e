"""What a family of networks has to provide, so that all that is done to detectors can be done to its own.

A family is a folder under models/ with one such object, and one line in `models.families`; what it cannot do it leaves
None, and is refused there in one line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import nn

    from models.detector import AuxiliaryLoss, Detector
    from models.inspector import Inspector

Build = Callable[[tuple[str, ...], int, "str | None", "int | None"], "Detector"]
Check = Callable[[str, int, "str | None", "int | None"], None]
Start = Literal["scratch", "trunk", "new classes", "weights"]  # what a detector begins from (`models.families.start`)


@dataclass(frozen=True)
class Shallower:
    """How a network is cut short.

    Args:
        make: (detector, after, width?) -> a one-exit detector that ends after a block or layer, and the modules that it
            has from the whole one; ValueError where it cannot be cut.
        usual: where it is cut when no place is given.
        widths: whether its heads are new and need a width.
        alone: (a chain, the index of an exit) -> the one-exit detector that ends there, with the chain's own weights.
    """

    make: Callable[..., tuple[Detector, tuple[nn.Module, ...]]]
    usual: tuple[int, ...]
    widths: bool
    alone: Callable[[Detector, int], Detector]


@dataclass(frozen=True)
class Pruning:
    """What structured pruning has to know beside the layers whose outputs stay (`models.detector.Stage`).

    Args:
        heads: the projections to queries, keys and values of all attention, with their numbers of heads.
        recount: sets these numbers anew when heads have been pruned away.
    """

    heads: Callable[[Detector], dict[nn.Linear, int]] = lambda detector: {}
    recount: Callable[[Detector], None] = lambda detector: None


@dataclass(frozen=True)
class ScanRecipe:
    """How exits are trained at all positions at once: heads alone, on the frozen trunk, none of them reading another.

    Args:
        strategy: what trains them, by name.
        positions: (detector) -> blocks or layers after which there could be another exit.
        usual: options when none are given, as the strategy understands them.
        options: (positions, options as under `usual`) -> all of the strategy's options.
    """

    strategy: str
    positions: Callable[[Detector], Sequence[int]]
    usual: Mapping[str, Any]
    options: Callable[[tuple[int, ...], Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Family:
    """A kind of networks; None stands for what cannot be done to it.

    Args:
        name: as `models.families` lists it and detectors carry it.
        title: as people write it.
        models: model name -> (classes, size, weights, queries) -> a plain one-exit detector. A model may be called as
            its family is.
        check: (model name, size, weights, queries) -> UserError for what can be known to fail before it is built.
        weights: what may be given as weights, as the fix of a message.
        fresh: (weights or None, classes) -> those of the classes that these weights have no rows for: all of them for
            None, and for a trunk alone.
        exits: strategies that give its detectors exits, by name.
        in_order: (weights, classes) -> whether their rows have no names and are taken for the classes by their order.
        trunk: (weights) -> whether they are of a trunk alone, around which all heads are new.
        resized: (detector, size) -> a copy with the same weights for square inputs of another side, in pixels.
        shallower: how it is cut short.
        pruning: what is to be known to prune it.
        inspector: how the feature maps inside its trunk are read.
        scan: how exits are trained at all positions at once.
        trunk_rates: (detector, rate, decay) -> factors of a learning rate by the beginning of parameter names, decaying
            from the last layer down.
        auxiliary_losses: (detector, options) -> what it learns from beside its exits' losses.
        smallest_batch: images that it learns from at once, at least.
    """

    name: str
    title: str
    models: Mapping[str, Build]
    check: Check
    weights: str
    fresh: Callable[[str | None, tuple[str, ...]], tuple[str, ...]]
    exits: tuple[str, ...]
    in_order: Callable[[str, tuple[str, ...]], bool] = lambda weights, classes: False
    trunk: Callable[[str], bool] = lambda weights: False
    resized: Callable[[Detector, int], Detector] | None = None
    shallower: Shallower | None = None
    pruning: Pruning | None = None
    inspector: Inspector | None = None
    scan: ScanRecipe | None = None
    trunk_rates: Callable[[Detector, float, float], dict[str, float]] | None = None
    auxiliary_losses: Callable[[Detector, Mapping[str, Any]], AuxiliaryLoss] | None = None
    smallest_batch: int = 1
