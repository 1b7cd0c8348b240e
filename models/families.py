"""The families of networks that can be chosen, and what can be done to a detector whatever its family.

Nothing is imported before a family is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from models.errors import UserError, unknown
from models.family import Family, Pruning, ScanRecipe, Shallower, Start
from models.registry import Registry

if TYPE_CHECKING:
    from models.detector import AuxiliaryLoss, Detector
    from models.inspector import Inspector

T = TypeVar("T")

FAMILIES: Registry[Family] = Registry(
    "family",
    "exitbench.families",
    "--model",
    {
        "ssdlite": ("models.ssdlite.family:FAMILY", "SSDLite with MobileNetV3-Large: convolutions and anchors"),
        "yolos": ("models.yolos.family:FAMILY", "YOLOS, also -tiny, -small and -base: a plain transformer and queries"),
    },
)


def models() -> dict[str, Family]:
    """Every model that can be chosen by name, with its family.

    Raises:
        UserError: for a name that two families bring.
    """
    found: dict[str, Family] = {}
    for name in FAMILIES:
        one = FAMILIES.get(name)
        for model in one.models:
            if model in found:
                what = f"two families bring the model {model!r}: {found[model].name} and {name}"
                raise UserError(what, where=FAMILIES.group, fix="uninstall one of them, or have it renamed")
            found[model] = one
    return found


def of_model(model: str) -> Family:
    """The family of a model's name.

    Raises:
        UserError: for a model that no family has.
    """
    if model in FAMILIES and model in FAMILIES.get(model).models:
        return FAMILIES.get(model)  # and no other family is loaded
    known = models()
    if model not in known:
        raise unknown("model", model, known, where="--model")
    return known[model]


def family_of(model: str) -> str:
    """The name of the family of a model's name.

    Raises:
        UserError: as `of_model`.
    """
    return of_model(model).name


def family(detector: Detector) -> Family:
    """The family of a detector."""
    return FAMILIES.get(detector.family)


def check(name: str, size: int, weights: str | None, queries: int | None = None) -> None:
    """Refuse what can be known to fail before a detector is built; arguments as of `build`.

    Raises:
        UserError: for an unknown model, and where its family refuses.
    """
    of_model(name).check(name, size, weights, queries)


def check_batch(family: str, images: int, *, where: str, fix: str) -> None:
    """Refuse to train on fewer images at once than a family can learn from; of one that is not listed nothing is known.

    Args:
        family: by name.
        images: at once.
        where: the error points at.
        fix: what to do.

    Raises:
        UserError: unless there are enough.
    """
    if family not in FAMILIES:
        return
    found = FAMILIES.get(family)
    if images < found.smallest_batch:
        what = f"{images} image at once, and {found.title} learns from {found.smallest_batch} or more (batch norm)"
        raise UserError(what, where=where, fix=fix)


def build(name: str, classes: tuple[str, ...], size: int, weights: str | None, queries: int | None = None) -> Detector:
    """A plain one-exit detector.

    Args:
        name: of the model.
        classes: what it is to find.
        size: side of its square input in pixels.
        weights: a file, a folder or a name, as the family understands it; None: untrained.
        queries: how many, where a model has queries and its weights bring none; None: as many as usual.

    Raises:
        UserError: where `check` would, and when weights cannot be loaded.
    """
    check(name, size, weights, queries)
    return of_model(name).models[name](classes, size, weights, queries)


def fresh(model: str, weights: str | None, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the classes that a model's weights have no rows for: all without weights, and for a trunk alone.

    Raises:
        UserError: for weights that cannot be read.
    """
    return of_model(model).fresh(weights, classes)


def start(model: str, weights: str | None, classes: tuple[str, ...]) -> Start:
    """What a model begins from.

    Returns:
        "scratch" without weights, "trunk" with those of a trunk alone, "new classes" where some of the classes have no
        rows in them, "weights" where all have.

    Raises:
        UserError: for weights that cannot be read.
    """
    if weights is None:
        return "scratch"
    if of_model(model).trunk(weights):
        return "trunk"
    return "new classes" if fresh(model, weights, classes) else "weights"


def origin(model: str, weights: str | None) -> str:
    """Where the weights of a model come from, in words."""
    if weights is None:
        return "from scratch"
    return "around a trained trunk" if of_model(model).trunk(weights) else "from trained weights"


def rows_kept(model: str, weights: str | None, classes: tuple[str, ...]) -> str:
    """Say which classes a detector's weights know and which begin fresh.

    Returns:
        A sentence; nothing where no heads are kept, and where all rows are known by name.

    Raises:
        UserError: for weights that cannot be read.
    """
    begins = start(model, weights, classes)
    if begins == "weights" and weights is not None and of_model(model).in_order(weights, classes):
        many = f"{len(classes)} are taken for {listed(classes)}, in this order"
        taken = many if len(classes) > 1 else f"only one is taken for {classes[0]}"
        return f"the weights name no classes: their {taken}"
    if begins != "new classes":
        return ""
    new = fresh(model, weights, classes)
    kept = [name for name in classes if name not in new]
    known = f"rows of {listed(kept)}" if kept else "trunk and box head"
    return f"{known} kept; {listed(new)} {'start' if len(new) > 1 else 'starts'} fresh"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names as text: "a, b and c", or the first few and how many more there are."""
    shown = list(names) if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def require(model: str, wanted: str, *, where: str) -> None:
    """Refuse a family that is not the one wanted: what cuts one network cannot cut another.

    Args:
        model: a family, by name.
        wanted: the one that fits, by name.
        where: the error points at.

    Raises:
        UserError: unless they are the same.
    """
    if model != wanted:
        found = FAMILIES.get(model)
        fix = f"leave it out; {found.title} has {' and '.join(found.exits)}"
        raise UserError(f"it is for {wanted}, not for {found.name}", where=where, fix=fix)


def shallower(detector: Detector) -> Shallower:
    """How a detector is cut short.

    Raises:
        UserError: where it cannot be.
    """
    of = family(detector)
    return _possible(of, of.shallower, "cannot be cut short", "strategy truncate")


def pruning(detector: Detector) -> Pruning:
    """What is to be known to prune a detector.

    Raises:
        UserError: where it cannot be pruned.
    """
    of = family(detector)
    return _possible(of, of.pruning, "cannot be pruned", "strategy prune")


def inspector(detector: Detector) -> Inspector:
    """How the feature maps inside a detector's trunk are read.

    Raises:
        UserError: where they cannot be.
    """
    of = family(detector)
    return _possible(of, of.inspector, "has no trunk to look into", "bench probe")


def scan(of: Family) -> ScanRecipe:
    """How detectors of a family get exits at all positions.

    Raises:
        UserError: where they cannot.
    """
    return _possible(of, of.scan, "has no positions to scan", "bench ablate positions")


def resized(detector: Detector, size: int) -> Detector:
    """A copy with the same weights for square inputs of another side, in pixels.

    Raises:
        UserError: where there is no way.
    """
    of = family(detector)
    return _possible(of, of.resized, "has one input size", "size")(detector, size)


def trunk_rates(detector: Detector, rate: float, decay: float) -> dict[str, float]:
    """Factors of a learning rate for a pretrained trunk (`models.family.Family`).

    Args:
        detector: that is to be trained.
        rate: of the trunk, relative to everything else.
        decay: from each layer to the one before it. With 1 and a rate of 1 there are no factors: everything learns
            alike.

    Raises:
        UserError: where there are no layers to tell apart.
    """
    if rate == decay == 1:
        return {}
    of = family(detector)
    made = _possible(of, of.trunk_rates, "has no rates layer by layer", "trunk_lr_scale, layer_decay")
    return made(detector, rate, decay)


def auxiliary_losses(detector: Detector, options: Mapping[str, Any]) -> AuxiliaryLoss:
    """The auxiliary losses of a detector, with options of its family.

    Raises:
        UserError: where there is nothing to choose.
    """
    of = family(detector)
    made = _possible(of, of.auxiliary_losses, "has no auxiliary losses to choose", "strategy baseline")
    return made(detector, options)


def _possible(of: Family, part: T | None, lacking: str, where: str) -> T:
    if part is None:
        raise UserError(f"{of.name} {lacking}", where=where, fix="leave it out")
    return part
