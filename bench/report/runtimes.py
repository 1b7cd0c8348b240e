"""The records of several runtimes in one report: each runtime's own together, and all of them against eager PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records import Record, baseline_of


def by_runtime(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Runtime -> its records in their order; the runtime with the fastest record comes first."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.runtime, []).append(record)
    return dict(sorted(found.items(), key=lambda item: min(r.latency_ms.mean for r in item[1])))


def short_name(record: Record) -> str:
    """The record's name without the runtime that a run on several adds to it."""
    return record.name.removesuffix(f"-{record.runtime}")


def over_eager(record: Record, records: Sequence[Record]) -> float | None:
    """Mean latency of the eager fp32 baseline over the record's; None when the records are of one runtime only, where
    the speed-up says it all, or without that baseline."""
    eager = baseline_of(records, "eager")
    if eager is None or all(r.runtime == "eager" for r in records):
        return None
    return eager.latency_ms.mean / record.latency_ms.mean
