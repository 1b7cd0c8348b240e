"""What is probed: a detector as it comes from weights, or the baseline that a finished run has trained; and on which
data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from bench.data.shapes import PIXELS
from bench.data.spec import load
from bench.data.split import Dataset
from bench.experiments.probe.control import untrained
from bench.pipeline import initial_candidate, open_data
from bench.spec import RunSpec
from models import families
from models.detector import Detector
from models.errors import UserError

SIZE = 320  # px, of the input for photographs
UNTRAINED = "untrained"


@dataclass(frozen=True)
class Subject:
    """model: its name. source: what its weights are, in words."""

    model: str
    source: str
    detector: Detector
    data: Dataset
    seed: int


def from_weights(
    model: str, weights: str | None, data: str, classes: tuple[str, ...] | None, size: int | None, seed: int
) -> Subject:
    """A plain detector from weights, or an untrained one (`bench.experiments.probe.control`); generated data has its
    size. UserError for what cannot be."""
    shapes = data == "shapes"
    side = size or (PIXELS if shapes else SIZE)
    families.check(model, side, weights)
    dataset = load(data, classes=classes, seed=seed, size=side if shapes else None)
    torch.manual_seed(seed)
    detector = families.build(model, dataset.classes, side, weights)
    if weights is None:
        return Subject(model, UNTRAINED, untrained(detector, seed), dataset, seed)
    source = Path(weights).name if Path(weights).is_file() else weights
    return Subject(model, source, detector.eval(), dataset, seed)


def from_run(run: Path) -> Subject:
    """The trained baseline of the run in a folder, on its data. UserError when there is none."""
    try:
        spec = RunSpec.model_validate_json((run / "spec.json").read_text())
    except (OSError, ValidationError) as error:
        raise UserError("no run with a readable spec.json", where=str(run), fix="start one with bench run") from error
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
    return Subject(spec.model.name, f"baseline of {run.name}", detector.eval(), data, spec.seed)
