"""A run's folder: found by name or by path, and claimed for one spec before anything is written into it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ValidationError

from bench.files import read_json, replacing
from models.errors import UserError

RUNS = Path("results/runs")
SPEC = "spec.json"


def find(run: str | Path, out: str | Path = RUNS) -> Path:
    """Find a run's folder, which need not exist.

    Args:
        run: Path of the folder, or the run's name.
        out: Folder that holds the runs.

    Returns:
        `run` where that is a folder, otherwise the folder of this name in `out`.
    """
    return Path(run) if Path(run).is_dir() else Path(out) / run


def claim(folder: Path, spec: BaseModel, *, resume: bool) -> None:
    """Write a run's spec into its folder. A folder in which nothing was trained or measured yet is as good as none.

    Args:
        folder: Of the run; made when it is not there.
        spec: What the run is (`bench.spec.RunSpec`).
        resume: Go on with a run that was started there under the same spec.

    Raises:
        UserError: A run is there and is not to be resumed, or it was started with other settings.
    """
    path, text = folder / SPEC, spec.model_dump_json(indent=2)
    if not any((folder / part).exists() for part in ("checkpoints", "records")):
        for part in (path, folder / "splits.json"):
            part.unlink(missing_ok=True)
    if path.exists() and not resume:
        fix = "go on with --resume (in Python resume=True), or choose another --name"
        raise UserError("this run exists already", where=str(folder), fix=fix)
    if path.exists() and not _same(path, spec):
        fix = "repeat those, or choose another --name"
        raise UserError("this run was started with other settings", where=str(path), fix=fix)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _same(path: Path, spec: BaseModel) -> bool:
    """Whether a stored spec means the same: both as text, which has no tuples, after today's names and defaults."""
    found = read_json(path, fix="choose another --name")
    try:
        stored = type(spec).model_validate(found)
    except ValidationError:
        return False
    return stored.model_dump_json() == spec.model_dump_json()
