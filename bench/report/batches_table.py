"""Throughput when images come in batches."""

from __future__ import annotations

from collections.abc import Sequence

from bench.judge.groups import by_runtime, short_name
from bench.records import Record
from bench.report.page import Column, Row, Section, Table
from bench.report.records_table import images_per_second


def batches_table(records: Sequence[Record]) -> Table | None:
    """Throughput in batches, record by record; None when none was measured."""
    timed = [(record, record.throughput) for record in records if record.throughput]
    if not timed:
        return None
    several = len(by_runtime(records)) > 1
    columns = [Column("runtime", words=True)] * several + [Column("name", words=True)]
    columns += [Column(header) for header in ("images/s", "speed [95 %]", "regrouping %")]
    rows = []
    for record, throughput in timed:
        ratio = throughput.speed_up
        cells = [record.runtime] * several + [
            short_name(record),
            images_per_second(record),
            f"{ratio.value:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]",
            f"{100 * throughput.regrouping:.1f}" if len(record.per_exit) > 1 else "-",
        ]
        rows.append(Row(cells))
    title = f"{timed[0][1].batch} images at once; those that stay are regrouped when others leave"
    return Table(columns, [Section(rows)], title)
