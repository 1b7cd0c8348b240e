"""The records of several runtimes in one report.

Each runtime's own together, all of them against eager PyTorch; and which of them are operating points of one multi-exit
detector.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.judge.alternatives import is_alternative
from bench.records import Record, baseline_of, detector_id


def by_runtime(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Put the records of each runtime together.

    Args:
        records: of one run.

    Returns:
        Records in their order by runtime, the one with the fastest record first.
    """
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.runtime, []).append(record)
    return dict(sorted(found.items(), key=lambda item: min(r.latency_ms.mean for r in item[1])))


def short_name(record: Record) -> str:
    """Leave out of a record's name the runtime that a run on several adds to it.

    Args:
        record: of any run.

    Returns:
        The name.
    """
    return record.name.removesuffix(f"-{record.runtime}")


def over_eager(record: Record, records: Sequence[Record]) -> float | None:
    """Compare a record's mean latency with that of the eager fp32 baseline.

    Args:
        record: one of `records`.
        records: of one run.

    Returns:
        How many times as fast the record is; None when the records are of one runtime only, where the speed-up says it
        all, or without that baseline.
    """
    eager = baseline_of(records, "eager")
    if eager is None or all(r.runtime == "eager" for r in records):
        return None
    return eager.latency_ms.mean / record.latency_ms.mean


def multi_exit(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Put the operating points of each multi-exit detector together.

    Args:
        records: of one runtime.

    Returns:
        By detector, e.g. "early_exit-b8-12": its records in their order, but for those where every image leaves at one
        inner exit.
    """
    found: dict[str, list[Record]] = {}
    for record in records:
        if len(record.per_exit) > 1 and not is_alternative(record):
            found.setdefault(detector_id(record), []).append(record)
    return found
