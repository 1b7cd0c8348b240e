"""Which of many points are worth a name in a picture, or a row in a short table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.frontier import frontier
from bench.records import Record, baseline_of
from bench.verdict import verdict

MOST_NAMES = 28  # in a panel; more cover each other
NEARLY = 0.95
Cost = Callable[[Record], float]


def telling(records: Sequence[Record], cost: Cost) -> set[str]:
    """Names of the points worth reading among those of one runtime: all of them up to MOST_NAMES, else those on the
    frontier of mAP and cost, the baseline, those that the verdict names, and of every strategy the cheapest point that
    keeps NEARLY all of the baseline's mAP, or its most accurate one."""
    if len(records) <= MOST_NAMES:
        return {record.name for record in records}
    found = {records[k].name for k in frontier([(cost(r), r.map) for r in records])}
    judged = verdict(records)
    found |= {judged.early or "", *(judged.against or "").split(" and ")}
    baseline = baseline_of(records, records[0].runtime)
    floor = NEARLY * (baseline.map if baseline else max(r.map for r in records))
    for strategy in {r.strategy for r in records}:
        own = [r for r in records if r.strategy == strategy]
        kept = [r for r in own if r.map >= floor]
        found.add((min(kept, key=cost) if kept else max(own, key=lambda r: r.map)).name)
    return found | ({baseline.name} if baseline else set())
