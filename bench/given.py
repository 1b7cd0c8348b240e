"""A detector that a run is handed in memory, in place of one that it builds.

Here is what the spec says of it, and whether it is the one that the spec speaks of. A spec can name its weights by
their hash but cannot bring them back.
"""

from __future__ import annotations

from typing import Any

from bench.spec import IN_MEMORY, Model
from bench.train.fit import weights_hash
from models.detector import Detector
from models.errors import UserError
from models.families import family_of


def settings_of(detector: Detector) -> dict[str, Any]:
    """What a spec has to say of a detector in memory, by dotted name: it is measured as it is, not trained.

    Args:
        detector: Trained, with one exit.
    """
    return {
        "model.name": detector.family,
        "model.size": detector.size,
        "model.weights": named(detector),
        "strategy.baseline.epochs": 0,
    }


def named(detector: Detector) -> str:
    """Name the weights of a detector in memory as a spec does: text with the hash of all its parameters and buffers.

    Args:
        detector: Trained, with one exit.
    """
    return f"{IN_MEMORY}, sha256 {weights_hash(detector)}"


def checked(detector: Detector | None, model: Model, classes: tuple[str, ...]) -> Detector:
    """Check that a detector is the one that a run's [model] speaks of.

    Args:
        detector: What the run was handed.
        model: The run's [model]; its weights say "in memory".
        classes: The data's.

    Returns:
        A copy in eval mode.

    Raises:
        UserError: There is no detector, it is another one, it has several exits, or its classes are not the data's.
    """
    if detector is None:
        fix = "give it again from Python: bench.run(detector=..., resume=True)"
        raise UserError("the detector of this run was in memory", where="model.weights", fix=fix)
    if detector.exits != 1:
        fix = "give the plain detector; strategies add the exits"
        raise UserError(f"the baseline has {detector.exits} exits", where="detector", fix=fix)
    if detector.classes != classes:
        what = f"it detects {', '.join(detector.classes)}, but the data has {', '.join(classes)}"
        raise UserError(what, where="detector", fix="give classes in its order, or other data")
    mine = detector.family, detector.size, named(detector)
    if mine != (family_of(model.name), model.size, model.weights):
        fix = "give the one that the run was started with, or choose another name"
        raise UserError("not the model, size and weights of the run's spec", where="detector", fix=fix)
    return detector.clone().eval()
