"""Regression checks: what a run must still reach.

A TOML file names the smallest accuracies and the largest drops against the baseline; `failed_checks` answers with one
line per check that fails, and none when all of them hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.files import read_toml
from bench.records import Record, baseline_of, same_split
from models.errors import UserError, unknown

METRICS = {"map": "mAP", "map50": "AP50"}
SECTIONS = ("floor", "drop")
ROUNDING = 1e-9  # percent; 1 - 0.97 is not exactly 3 %


def load_checks(path: Path) -> dict[str, dict[str, Any]]:
    """Read a file of regression checks.

    Under [floor] stands STRATEGY.map or STRATEGY.map50, the smallest value in [0, 1]; under [drop] stands STRATEGY, the
    largest relative loss of mAP against the baseline, in percent.

    Args:
        path: TOML file.

    Returns:
        The two tables, by name.

    Raises:
        UserError: there is no such file, it holds anything else, or it holds no check.
    """
    checks = read_toml(Path(path), fix="give a file of regression checks, such as results/gates.toml")
    for section, entries in checks.items():
        _known(section, SECTIONS, str(path))
        if not isinstance(entries, dict):
            raise UserError(f"{section} must be a table", where=str(path), fix=f"write [{section}]")
        for strategy, limit in entries.items():
            _check_entry(section, strategy, limit, str(path))
    if not any(checks.values()):
        raise UserError("holds no regression checks", where=str(path), fix="a check is e.g. [drop] quant = 3")
    return checks


def failed_checks(records: Sequence[Record], checks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Make the checks. A strategy is judged by its best record; one that a check names and the run lacks fails it.

    Args:
        records: of one run.
        checks: as `load_checks` gives them.

    Returns:
        One line per check that fails, floors first, each in the order of the file.

    Raises:
        UserError: the records' test splits differ.
    """
    same_split(records)
    broken: list[str | None] = []
    for strategy, floors in checks.get("floor", {}).items():
        broken += [_floor(records, strategy, metric, floor) for metric, floor in floors.items()]
    for strategy, allowed in checks.get("drop", {}).items():
        broken.append(_drop(records, strategy, allowed))
    return [line for line in broken if line]


def _floor(records: Sequence[Record], strategy: str, metric: str, floor: float) -> str | None:
    best = _best(records, strategy, metric)
    if best is None:
        return _missing(records, strategy)
    value = getattr(best, metric)
    if value >= floor:
        return None
    return f"{strategy}: {METRICS[metric]} {value:.3f} of {best.name} is below its floor {floor:.3f}"


def _drop(records: Sequence[Record], strategy: str, allowed: float) -> str | None:
    best = _best(records, strategy, "map")
    if best is None:
        return _missing(records, strategy)
    baseline = baseline_of(records, best.runtime)
    if baseline is None or baseline.map == 0:
        return f"{strategy}: no baseline with an mAP above 0 on {best.runtime} to measure its drop against"
    drop = 100 * (1 - best.map / baseline.map)
    if drop <= allowed + ROUNDING:
        return None
    below = f"mAP {best.map:.3f} is {drop:.1f} % below the baseline's {baseline.map:.3f}"
    return f"{strategy}: {below}; allowed {allowed:g} %"


def _best(records: Sequence[Record], strategy: str, metric: str) -> Record | None:
    own = [r for r in records if r.strategy == strategy]
    return max(own, key=lambda r: getattr(r, metric), default=None)


def _missing(records: Sequence[Record], strategy: str) -> str:
    return f"{strategy}: not in this run, which has {', '.join(sorted({r.strategy for r in records}))}"


def _check_entry(section: str, strategy: str, limit: Any, where: str) -> None:
    if section == "drop":
        _number(limit, f"drop.{strategy}", 100, "percent", where)
        return
    if not isinstance(limit, dict) or not limit:
        fix = f"write {strategy}.map or {strategy}.map50"
        raise UserError(f"floor.{strategy} does not say which metric", where=where, fix=fix)
    for metric, floor in limit.items():
        _known(metric, METRICS, where)
        _number(floor, f"floor.{strategy}.{metric}", 1, "a share", where)


def _number(value: Any, key: str, most: float, unit: str, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise UserError(f"{key} is {value!r}", where=where, fix=f"{unit} between 0 and {most}")


def _known(key: str, known: Sequence[str] | Mapping[str, str], where: str) -> None:
    if key not in known:
        raise unknown("key", key, known, where=where)
