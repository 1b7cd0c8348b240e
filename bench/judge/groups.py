"""The records of several runtimes in one report: each runtime's own together, all of them against eager PyTorch; and
which of them are operating points of one multi-exit detector."""

from __future__ import annotations

from collections.abc import Sequence

from bench.judge.alternatives import is_alternative
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


def multi_exit(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Multi-exit detector, e.g. "early_exit-b8-12" -> its operating points in their order, but for those where every
    image leaves at one inner exit. The records are of one runtime."""
    found: dict[str, list[Record]] = {}
    for record in records:
        if len(record.per_exit) > 1 and not is_alternative(record):
            found.setdefault("-".join(filter(None, (record.strategy, record.variant))), []).append(record)
    return found
