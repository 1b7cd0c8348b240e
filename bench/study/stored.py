"""A finished run as far as routing needs it: what it asked for, its records, the ground truth and the exit tables,
checked to belong together. Neither model nor runtime is loaded."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from bench.accuracy.matching import Matches
from bench.accuracy.pool import pooled
from bench.exits.path_costs import PathCosts, Unit
from bench.exits.policy import Policy
from bench.measure.exit_table import ExitTable, evaluate
from bench.measure.store import load_table, stored_detectors
from bench.records import Record, load_records
from models.errors import UserError

TRUTHS = {"val": "ground_truth_val.json.gz", "test": "ground_truth.json.gz"}


class Measure(BaseModel):
    """What routing needs of a spec's [measure]; `bench.spec` itself would load every strategy."""

    model_config = ConfigDict(frozen=True)
    resamples: int
    tolerances: tuple[float, ...]
    budgets: tuple[str, ...]
    risks: tuple[float, ...]
    cost: Unit


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True)
    seed: int
    measure: Measure


@dataclass(frozen=True, eq=False)
class Run:
    """A run as far as routing needs it. truths: role of a split -> COCO ground-truth dict."""

    seed: int
    measure: Measure
    records: list[Record]
    truths: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class MatchedTable:
    """One split's exit table, and its matches, one per exit."""

    table: ExitTable
    matches: tuple[Matches, ...]

    def route(self, policy: Policy) -> np.ndarray:
        """Which exit answers each image, int64 [N]."""
        scores = self.table.scores.get(policy.criterion, np.zeros((len(self.table.image_ids), self.table.exits)))
        return policy.route(scores)

    def map(self, exits: np.ndarray) -> float:
        """mAP of a routing; 0 where there is nothing to find."""
        return float(np.nan_to_num(pooled(self.matches).map(exits)))


def open_run(folder: Path) -> Run:
    """Records, ground truth, and what the run asked for. UserError for what is missing or broken."""
    records = load_records(folder)
    stored_detectors(folder)
    path = folder / "spec.json"
    try:
        spec = _Spec.model_validate_json(path.read_text())
    except (OSError, ValidationError) as error:
        raise UserError("not the spec of a run", where=str(path), fix="run the benchmark again") from error
    return Run(spec.seed, spec.measure, records, {role: truth(folder / name) for role, name in TRUTHS.items()})


def truth(path: Path) -> dict[str, Any]:
    """A stored COCO ground-truth dict. UserError when it is missing or broken."""
    try:
        found = json.loads(gzip.decompress(path.read_bytes()))
        if not {"images", "annotations", "categories"} <= found.keys():
            raise ValueError("images, annotations or categories are missing")
        return found
    except FileNotFoundError as error:
        raise UserError("no ground truth", where=str(path), fix="run the benchmark again: it stores it") from error
    except (OSError, ValueError, EOFError, AttributeError, zlib.error) as error:
        raise UserError(f"not ground truth: {error}", where=str(path), fix="run the benchmark again") from error


def matched_table(run: Run, folder: Path, role: str) -> MatchedTable:
    """A stored table matched with its ground truth; UserError unless the two belong together."""
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


def belong_together(val: ExitTable, test: ExitTable, prices: PathCosts, folder: Path) -> None:
    """UserError unless tables and prices are of the same exits and criteria."""
    exits = val.exits == test.exits == len(prices.ms) == len(prices.flops)
    if not exits or not val.scores.keys() == test.scores.keys() == prices.criterion_costs.keys() or not val.scores:
        what = "its tables and prices do not belong together"
        raise UserError(what, where=str(folder), fix="run the benchmark again")
