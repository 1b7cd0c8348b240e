"""Which of many points are worth a name in a picture, or a row in a short table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.judge.frontier import frontier
from bench.judge.verdict import verdict
from bench.records import Record, baseline_of

MOST_NAMES = 28  # in a panel; more cover each other
NEARLY = 0.95
SAME = (0.01, 0.002)  # points of a strategy whose costs differ by a smaller share, and mAP by less, are one to the eye
Cost = Callable[[Record], float]


def select_rows(records: Sequence[Record], cost: Cost) -> set[str]:
    """Which points of one runtime are worth reading.

    Up to MOST_NAMES these are all. Else they are those on the frontier of mAP and cost, the baseline, those that the
    verdict names, and `best_of_each` strategy; of a strategy's points that are the SAME to the eye, the one that the
    verdict names, or the first.

    Args:
        records: of one runtime.
        cost: of a record, in any unit.

    Returns:
        Names of records.
    """
    if len(records) <= MOST_NAMES:
        return {record.name for record in records}
    found = {records[k].name for k in frontier([(cost(r), r.map) for r in records])}
    judged = verdict(records)
    judged_ones = {judged.early or "", *judged.against}
    baseline = baseline_of(records, records[0].runtime)
    found |= {record.name for record in best_of_each(records, cost, baseline)}
    kept_names = judged_ones | ({baseline.name} if baseline else set())
    shown = [r for r in records if r.name in kept_names]
    for record in records:
        if record.name in found and not any(same(record, one, cost) for one in shown):
            shown.append(record)
    return {record.name for record in shown}


def best_of_each(records: Sequence[Record], cost: Cost, baseline: Record | None) -> list[Record]:
    """Of every strategy the cheapest point that keeps NEARLY all of the baseline's mAP, or its most accurate one.

    Args:
        records: of one runtime.
        cost: of a record, in any unit.
        baseline: whose mAP counts; None: that of the most accurate record.

    Returns:
        One record per strategy.
    """
    floor = NEARLY * (baseline.map if baseline else max((r.map for r in records), default=0))
    found = []
    for strategy in dict.fromkeys(r.strategy for r in records):
        own = [r for r in records if r.strategy == strategy]
        kept = [r for r in own if r.map >= floor]
        found.append(min(kept, key=cost) if kept else max(own, key=lambda r: r.map))
    return found


def same(one: Record, other: Record, cost: Cost) -> bool:
    """Whether two points of a strategy stand in the same place."""
    (share, apart), costs = SAME, (cost(one), cost(other))
    near = max(costs) - min(costs) < share * max(costs) and abs(one.map - other.map) < apart
    return one.strategy == other.strategy and near
