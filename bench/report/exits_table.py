"""What each exit of a multi-exit detector reaches when it answers every image, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records import Record
from bench.report.page import Column, Row, Section, Table
from bench.report.records_table import detectors, flops_format

NUMBERS = ("exit", "mAP", "AP50", "{unit}", "ms", "temperature")


def exits_table(records: Sequence[Record]) -> Table | None:
    """Accuracy and cost when one exit answers every image, per multi-exit detector; None when there is none."""
    unit, count = flops_format(records)
    columns = [Column("detector", words=True), *(Column(header.format(unit=unit)) for header in NUMBERS)]
    sections = []
    for name, record in detectors(records).items():
        rows = []
        for one in record.per_exit:
            cells = (
                "" if one.exit else name,
                str(one.exit + 1),
                f"{one.map:.3f}",
                f"{one.map50:.3f}",
                count(one.flops),
                f"{one.latency_ms:.2f}" if one.latency_ms else "-",
                f"{one.temperature:.2f}" if one.temperature else "-",
            )
            rows.append(Row(cells))
        sections.append(Section(rows))
    return Table(columns, sections, "Every image at one exit") if sections else None
