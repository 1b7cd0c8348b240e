"""What is probed, and on which data: a detector from weights, or the baseline that a finished run has trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

from bench.data.shapes import PIXELS
from bench.data.spec import load
from bench.data.split import Dataset
from bench.experiments.probe.control import untrained
from bench.pipeline import initial_candidate, open_data
from bench.spec import stored_spec
from models import families
from models.detector import Detector
from models.errors import UserError

SIZE = 320  # px, of the input for photographs
UNTRAINED = "untrained"


@dataclass(frozen=True)
class ProbeTarget:
    """A detector to probe, and the data to probe it on.

    Attributes:
        model: its name.
        source: what its weights are, in words.
        detector: in eval mode.
        data: the splits.
        seed: of everything random.
    """

    model: str
    source: str
    detector: Detector
    data: Dataset
    seed: int


def from_weights(
    model: str, weights: str | None, data: str, classes: tuple[str, ...] | None, size: int | None, seed: int
) -> ProbeTarget:
    """A plain detector from weights, or an untrained one (`bench.experiments.probe.control`).

    Args:
        model: its name.
        weights: a file or a name; None: untrained.
        data: "shapes", "coco:DIR" or a TOML file. Generated shapes are drawn at the size of the input.
        classes: names; None: all.
        size: side of the input, px; None: SIZE, or the usual size of shapes.
        seed: of the data and of untrained weights.

    Returns:
        The detector with its data.

    Raises:
        UserError: there is no such model, weights, data or class, or they do not fit together.
    """
    shapes = data == "shapes"
    side = size or (PIXELS if shapes else SIZE)
    families.check(model, side, weights)
    dataset = load(data, classes=classes, seed=seed, size=side if shapes else None)
    torch.manual_seed(seed)
    detector = families.build(model, dataset.classes, side, weights)
    if weights is None:
        return ProbeTarget(model, UNTRAINED, untrained(detector, seed), dataset, seed)
    source = Path(weights).name if Path(weights).is_file() else weights
    return ProbeTarget(model, source, detector.eval(), dataset, seed)


def from_run(run: Path) -> ProbeTarget:
    """The trained baseline of a run, on the run's data.

    Args:
        run: its folder.

    Returns:
        The detector with its data.

    Raises:
        UserError: there is no run, no trained baseline or more than one, or the baseline is of another model.
    """
    spec = stored_spec(run)
    found = sorted((run / "checkpoints").glob("baseline-*.safetensors"))
    if len(found) != 1:
        what = "no trained baseline" if not found else f"{len(found)} baselines"
        fix = "finish the run, or give its weights with --weights"
        raise UserError(what, where=str(run / "checkpoints"), fix=fix)
    data = open_data(spec.data, run, size=spec.model.size, seed=spec.seed)
    detector = initial_candidate(spec.model, data.classes, spec.seed).detector
    try:
        detector.load_state_dict(load_file(found[0]))
    except RuntimeError as error:
        raise UserError("not of the model in spec.json", where=str(found[0]), fix="run it again") from error
    return ProbeTarget(spec.model.name, f"baseline of {run.name}", detector.eval(), data, spec.seed)
