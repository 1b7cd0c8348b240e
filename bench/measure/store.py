"""ExitTables on disk, so that any routing can be asked for later without the model.

RUN/tables/DETECTOR/ holds val.npz, test.npz and the path costs, prices.json; beside them lie the weights of learned
gates (`bench.exits.learned`).
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.exits.path_costs import CriterionCost, PathCosts
from bench.files import read_json, replacing
from bench.measure.exit_table import ExitTable
from models.detector import Detections
from models.errors import UserError

BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error)
FIRST_NAMES = {"looks": "criterion_costs", "mixing": "switch_cost"}  # keys of older prices.json


def save_table(table: ExitTable, folder: Path) -> None:
    """Write FOLDER/ROLE.npz, all or nothing. Features are left out: the scores of the gates that read them are there.

    Args:
        table: to be written.
        folder: of the detector's tables.
    """
    flat = [one for exit in table.detections for one in exit]
    arrays: dict[str, Any] = {
        "split_hash": np.array(table.split_hash),
        "image_ids": np.array(table.image_ids, np.int64),
        "counts": np.array([[len(one.scores) for one in exit] for exit in table.detections], np.int32),
        "boxes": np.concatenate([one.boxes.reshape(-1, 4) for one in flat]),
        "detection_scores": np.concatenate([one.scores for one in flat]),
        "labels": np.concatenate([one.labels for one in flat]).astype(np.int16),
    }
    arrays |= {f"criterion/{name}": scores for name, scores in table.scores.items()}
    arrays |= {f"health/{name}": values for name, values in table.health.items()}
    with replacing(folder / f"{table.role}.npz") as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_table(folder: Path, role: str) -> ExitTable:
    """Read what `save_table` wrote.

    Args:
        folder: of the detector's tables.
        role: of the split, e.g. "val".

    Returns:
        The table, without features.

    Raises:
        UserError: it is missing or broken.
    """
    path = folder / f"{role}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {name: file[name] for name in file.files}
        ends = np.concatenate([[0], np.cumsum(stored["counts"])])
        boxes, scores, labels = stored["boxes"], stored["detection_scores"], stored["labels"].astype(np.int64)
        flat = [Detections(boxes[a:b], scores[a:b], labels[a:b]) for a, b in pairwise(ends.tolist())]
        images = len(stored["image_ids"])
        return ExitTable(
            role,
            str(stored["split_hash"]),
            tuple(stored["image_ids"].tolist()),
            [flat[start : start + images] for start in range(0, len(flat), images)],
            _under("criterion/", stored),
            _under("health/", stored) | _under("vital/", stored),  # "vital/" in older files
        )
    except FileNotFoundError as error:
        raise UserError("no exit table", where=str(path), fix="run the benchmark again: it stores one") from error
    except BROKEN as error:
        raise UserError(f"not an exit table: {error}", where=str(path), fix="run the benchmark again") from error


def save_path_costs(path_costs: PathCosts, folder: Path) -> None:
    """Write FOLDER/prices.json, all or nothing.

    Args:
        path_costs: of the detector.
        folder: of its tables.
    """
    with replacing(folder / "prices.json") as partial:
        partial.write_text(json.dumps(asdict(path_costs), indent=1) + "\n", encoding="utf-8")


def load_path_costs(folder: Path) -> PathCosts:
    """Read what `save_path_costs` wrote.

    Args:
        folder: of the detector's tables.

    Returns:
        Its path costs.

    Raises:
        UserError: they are missing or broken.
    """
    path = folder / "prices.json"
    if not path.exists():
        raise UserError("no path costs", where=str(path), fix="run the benchmark again: it stores them")
    stored = read_json(path, fix="run the benchmark again")
    try:
        stored = {FIRST_NAMES.get(key, key): value for key, value in stored.items()}
        criteria = {
            name: CriterionCost(tuple(one["staying"]), tuple(one["leaving"]))
            for name, one in stored["criterion_costs"].items()
        }
        return PathCosts(tuple(stored["flops"]), tuple(stored["ms"]), criteria, tuple(stored["switch_cost"]))
    except BROKEN as error:
        raise UserError(f"not path costs: {error}", where=str(path), fix="run the benchmark again") from error


def stored_detectors(run_dir: Path) -> list[Path]:
    """Find the tables of a run's multi-exit detectors.

    Args:
        run_dir: folder of the run.

    Returns:
        Folders, one per detector and runtime, by name.

    Raises:
        UserError: there is none.
    """
    found = sorted(path.parent for path in (run_dir / "tables").glob("*/prices.json"))
    if not found:
        fix = "it needs a strategy with exits, such as early_exit, measured by this version"
        raise UserError("holds no exit tables", where=str(run_dir), fix=fix)
    return found


def _under(prefix: str, stored: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): values for name, values in stored.items() if name.startswith(prefix)}
