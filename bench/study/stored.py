"""A finished run as far as routing needs it: what it asked for, its records, the ground truth and the exit tables.

All are checked to belong together. Neither model nor runtime is loaded.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.accuracy.matching import Matches
from bench.accuracy.pool import pooled
from bench.exits.path_costs import PathCosts
from bench.measure.exit_table import ExitTable, evaluate
from bench.measure.store import load_table, stored_detectors
from bench.records import Record, load_records
from bench.spec import Measure, stored_spec
from models.errors import UserError

TRUTHS = {"val": "ground_truth_val.json.gz", "test": "ground_truth.json.gz"}


@dataclass(frozen=True, eq=False)
class Run:
    """A run as far as routing needs it.

    Attributes:
        seed: of the run.
        measure: what it asked for.
        records: all of its records.
        truths: COCO ground-truth dict by the role of the split, "val" and "test".
    """

    seed: int
    measure: Measure
    records: list[Record]
    truths: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class MatchedTable:
    """One split's exit table with its matches.

    Attributes:
        table: of N images.
        matches: the same detections matched, one entry per exit.
    """

    table: ExitTable
    matches: tuple[Matches, ...]

    def map(self, exits: NDArray[np.integer]) -> float:
        """The mAP of a routing.

        Args:
            exits: which exit answers each image, int [N].

        Returns:
            mAP in [0, 1]; 0 where there is nothing to find.
        """
        return float(np.nan_to_num(pooled(self.matches).map(exits)))


def open_run(folder: Path) -> Run:
    """Open a run: records, ground truth, and what it asked for.

    Args:
        folder: of the run.

    Returns:
        The run.

    Raises:
        UserError: something is missing or broken, or the run has no exit tables.
    """
    records = load_records(folder)
    stored_detectors(folder)
    spec = stored_spec(folder)
    return Run(spec.seed, spec.measure, records, {role: truth(folder / name) for role, name in TRUTHS.items()})


def truth(path: Path) -> dict[str, Any]:
    """Read a stored COCO ground-truth dict.

    Args:
        path: gzipped JSON.

    Returns:
        The dict, with images, annotations and categories.

    Raises:
        UserError: it is missing or broken.
    """
    try:
        found = json.loads(gzip.decompress(path.read_bytes()))
        if not {"images", "annotations", "categories"} <= found.keys():
            raise ValueError("images, annotations or categories are missing")
        return found
    except FileNotFoundError as error:
        raise UserError("no ground truth", where=str(path), fix="run the benchmark again: it stores it") from error
    except (OSError, ValueError, EOFError, AttributeError, RecursionError, zlib.error) as error:
        raise UserError(f"not ground truth: {error}", where=str(path), fix="run the benchmark again") from error


def matched_table(run: Run, folder: Path, role: str) -> MatchedTable:
    """Read a stored table, and match it with its ground truth.

    Args:
        run: that made the table.
        folder: of the detector's tables.
        role: of the split, "val" or "test".

    Returns:
        The table with its matches.

    Raises:
        UserError: the table is missing or broken, or does not belong to the run's records or ground truth.
    """
    table, where = load_table(folder, role), str(folder / f"{role}.npz")
    if table.split_hash != run.records[0].splits[role]:
        raise UserError("made on another split than the records", where=where, fix="run the benchmark again")
    ids = sorted(image["id"] for image in run.truths[role]["images"])
    if sorted(table.image_ids) != ids:
        what = f"its image ids are not those of {TRUTHS[role]}"
        raise UserError(what, where=where, fix="run the benchmark again")
    try:
        return MatchedTable(table, tuple(evaluate(table, run.truths[role])))
    except ValueError as error:
        raise UserError(f"does not fit {TRUTHS[role]}: {error}", where=where, fix="run the benchmark again") from error


def belong_together(val: ExitTable, test: ExitTable, path_costs: PathCosts, folder: Path) -> None:
    """Check that tables and path costs are of the same exits and criteria.

    Args:
        val: the table of the val split.
        test: the table of the test split.
        path_costs: read from the same folder.
        folder: that all three come from, for the message.

    Raises:
        UserError: they are not.
    """
    exits = val.exits == test.exits == len(path_costs.ms) == len(path_costs.flops)
    if not exits or not val.scores.keys() == test.scores.keys() == path_costs.criterion_costs.keys() or not val.scores:
        what = "its tables and path costs do not belong together"
        raise UserError(what, where=str(folder), fix="run the benchmark again")
