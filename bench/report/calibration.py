"""What scores are worth, in words.

How far are each exit's scores from saying how often they are right (`bench.accuracy.calibration`), and what do fitted
temperatures change about that and about the gates?
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.judge.frontier import latency_replicates
from bench.judge.groups import multi_exit
from bench.judge.verdict import LEVEL, is_early
from bench.records import Record
from bench.stats import bonferroni, interval

UNTEMPERED = "-untempered"  # in the name of a detector whose temperatures were left at 1


def calibration_errors(here: Sequence[Record]) -> list[str]:
    """A line per multi-exit detector of one runtime: calibration error and temperature, exit by exit."""
    lines = []
    for name, (first, *_) in multi_exit(here).items():
        if any(one.calibration_error is not None for one in first.per_exit):
            errors = ", ".join(_error(one.calibration_error) for one in first.per_exit)
            temperatures = ", ".join(f"{one.temperature:.2f}" if one.temperature else "-" for one in first.per_exit)
            lines.append(f"{name}: calibration error (D-ECE) {errors} at temperatures {temperatures}, exit by exit")
    return lines


def with_temperatures(here: Sequence[Record]) -> list[str]:
    """What fitted temperatures changed, where a runtime holds a detector with them and without.

    Args:
        here: the records of one runtime.

    Returns:
        A line with each exit's calibration error before and after, and a line for each tolerance's gate.
    """
    found = multi_exit(here)
    lines = []
    for bare, before in found.items():
        name = bare.replace(UNTEMPERED, "")
        if name != bare and name in found:
            lines += [*_errors(name, before[0], found[name][0]), *_gates(name, before, found[name])]
    return lines


def _errors(name: str, before: Record, after: Record) -> list[str]:
    pairs = [(a.calibration_error, b.calibration_error) for a, b in zip(before.per_exit, after.per_exit, strict=True)]
    if all(None in pair for pair in pairs):
        return []
    each = ", ".join(" -> ".join(map(_error, pair)) for pair in pairs)
    return [f"{name}, temperatures 1 -> fitted: calibration error {each}, exit by exit"]


def _gates(name: str, before: Sequence[Record], after: Sequence[Record]) -> list[str]:
    """A line per gate of a tolerance that both have.

    All intervals of a detector hold together at LEVEL; that of the time is wider by what the baseline differed from
    itself.
    """
    old = {r.operating_point.name: r for r in before if _of_tolerance(r)}
    pairs = [(old[r.operating_point.name], r) for r in after if _of_tolerance(r) and r.operating_point.name in old]
    lines = []
    for a, b in pairs:
        level = bonferroni(LEVEL, 2 * len(pairs))
        gain = interval(np.subtract(b.map_bootstrap, a.map_bootstrap), level)
        ms_a, ms_b = latency_replicates([a, b])
        low, high = interval(ms_b / ms_a, level)
        off = max(b.noise.value, 1 / b.noise.value)
        longer = low / off, high * off
        ratio = b.latency_ms.mean / a.latency_ms.mean
        lines.append(
            f"{name}-{b.operating_point.name}, temperatures 1 -> fitted: mAP {a.map:.3f} -> {b.map:.3f}, "
            f"{'+' * (b.map > a.map)}{_ap(b.map - a.map)} [{_ap(gain[0])}, {_ap(gain[1])}]; "
            f"{a.latency_ms.mean:.2f} -> {b.latency_ms.mean:.2f} ms, {ratio:.2f} times as long "
            f"[{longer[0]:.2f}, {longer[1]:.2f}]: {moved(gain, longer)}"
        )
    return lines


def _of_tolerance(record: Record) -> bool:
    return is_early(record) and record.operating_point.name.startswith("tol")


def moved(gain: tuple[float, float], longer: tuple[float, float]) -> str:
    """Where a gate went.

    Args:
        gain: interval of its difference in mAP, after minus before.
        longer: interval of its time after over its time before.

    Returns:
        "moved" or "traded" with what became better and worse, or that neither did beyond the intervals.
    """
    better = ["more accurate"] * (gain[0] > 0) + ["faster"] * (longer[1] < 1)
    worse = ["less accurate"] * (gain[1] < 0) + ["slower"] * (longer[0] > 1)
    if not better and not worse:
        return "not moved beyond the intervals"
    return ("traded" if better and worse else "moved") + f": {' and '.join(better + worse)}"


def _error(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _ap(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"  # adding 0.0 turns -0.0 into 0.0
