"""Exit profiles: of each kind of image, how many every exit answers.

One gate speaks for a detector: the one through which most images leave early, of those that do not send nearly all to
one exit. It is shown on the fastest runtime, since which images leave hardly depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.judge.alternatives import disguised
from bench.judge.groups import by_runtime, short_name
from bench.records import ExitProfile, Record, same_split
from bench.report.page import Column, Row, Section, Table
from bench.report.records_table import percent

MOST_GROUPS = 15  # shown of a factor, those with the most images: there may be any number of classes
EXPLAINED = {
    "object size": "mean over the boxes of an image, as a share of its side",
    "crowding": "the largest IoU of two boxes of an image",
}


def gates(records: Sequence[Record]) -> list[Record]:
    """The gate that speaks for each detector, on the fastest runtime that has one.

    It is the gate through which most images leave early, of those that tell images apart if there are any.

    Args:
        records: of one run, or of several that share their test split.

    Returns:
        One record per detector; a detector whose images all stay has none.

    Raises:
        UserError: the records were measured on different test splits.
    """
    same_split(records)
    for here in by_runtime(records).values():
        best: dict[tuple[str, ...], Record] = {}
        for record in here:
            if record.exit_profile and record.exit_share[-1] < 1:
                detector = (record.strategy, record.variant, record.precision)
                best[detector] = min(best.get(detector, record), record, key=lambda r: (disguised(r), r.exit_share[-1]))
        if best:
            return list(best.values())
    return []


def exit_profile_table(records: Sequence[Record]) -> Table | None:
    """Where the images of each kind leave, gate by gate, in 100 columns.

    Args:
        records: of one run.

    Returns:
        The table, or None when there is no gate through which any image leaves early.

    Raises:
        UserError: the records were measured on different test splits.
    """
    found = gates(records)
    if not found:
        return None
    columns = [Column("told apart by", words=True), Column("kind of image", words=True)]
    columns += [Column("images"), Column("exits %")]
    sections = []
    for record in found:
        rows = [Row((short_name(record), "", str(record.test_images), percent(record.exit_share)), "bold")]
        for factor, groups in by_factor(record).items():
            for i, one in enumerate(groups):
                cells = (factor if i == 0 else "", one.group, str(one.images), percent(one.exit_share))
                rows.append(Row(cells))
        sections.append(Section(rows))
    notes = [f"{factor}: {what}" for factor, what in EXPLAINED.items()]
    return Table(columns, sections, f"Who leaves early, on {found[0].runtime}", notes)


def by_factor(record: Record) -> dict[str, list[ExitProfile]]:
    """Factor -> its groups in their order, at most MOST_GROUPS of them; a factor that has more says so."""
    found: dict[str, list[ExitProfile]] = {}
    for one in record.exit_profile:
        found.setdefault(one.factor, []).append(one)
    return dict(_most(factor, groups) for factor, groups in found.items())


def _most(factor: str, groups: list[ExitProfile]) -> tuple[str, list[ExitProfile]]:
    if len(groups) <= MOST_GROUPS:
        return factor, groups
    most = sorted(range(len(groups)), key=lambda i: -groups[i].images)[:MOST_GROUPS]
    return f"{factor}, {MOST_GROUPS} of {len(groups)} with the most images", [groups[i] for i in sorted(most)]
