"""Exit profiles: of each kind of image, how many every exit answers. One gate speaks for a detector, the one through
which most images leave, of those that do not send nearly all to one exit; on the fastest runtime, since which images
leave hardly depends on it."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from bench.judge.groups import by_runtime, short_name
from bench.judge.verdict import disguised
from bench.records import Leavers, Record, same_split

MOST_GROUPS = 15  # shown of a factor, those with the most images: there may be any number of classes
EXPLAINED = {
    "object size": "mean over the boxes of an image, as a share of its side",
    "crowding": "the largest IoU of two boxes of an image",
}


def gates(records: Sequence[Record]) -> list[Record]:
    """Of each detector on the fastest runtime with such a gate, the gate through which most images leave early, of
    those that tell images apart if there are any; detectors whose images all stay have none. Raises UserError when the
    records' test splits differ."""
    same_split(records)
    for here in by_runtime(records).values():
        best: dict[tuple[str, ...], Record] = {}
        for record in here:
            if record.leavers and record.exit_share[-1] < 1:
                detector = (record.strategy, record.variant, record.precision)
                best[detector] = min(best.get(detector, record), record, key=lambda r: (disguised(r), r.exit_share[-1]))
        if best:
            return list(best.values())
    return []


def exit_profile_table(records: Sequence[Record]) -> Table | None:
    """Gate by gate, where the images of each kind leave; None when there is no gate through which any leave early.
    Fits 100 columns."""
    found = gates(records)
    if not found:
        return None
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left", caption_justify="left")
    shown.title = f"Who leaves early, on {found[0].runtime}"
    shown.caption = Text("\n".join(f"{factor}: {what}" for factor, what in EXPLAINED.items()), style="dim")
    shown.add_column("told apart by", overflow="fold", max_width=36)
    shown.add_column("kind of image", overflow="fold")
    shown.add_column("images", justify="right", no_wrap=True)
    shown.add_column("exits %", justify="right", overflow="fold")
    for record in found:
        shown.add_section()
        shown.add_row(Text(short_name(record), style="bold"), "", str(record.test_images), _percent(record.exit_share))
        for factor, groups in by_factor(record).items():
            for i, one in enumerate(groups):
                cells = (factor if i == 0 else "", one.group, str(one.images), _percent(one.exit_share))
                shown.add_row(*(Text(cell) for cell in cells))
    return shown


def by_factor(record: Record) -> dict[str, list[Leavers]]:
    """Factor -> its groups in their order, at most MOST_GROUPS of them; a factor that has more says so."""
    found: dict[str, list[Leavers]] = {}
    for one in record.leavers:
        found.setdefault(one.factor, []).append(one)
    return dict(_most(factor, groups) for factor, groups in found.items())


def _most(factor: str, groups: list[Leavers]) -> tuple[str, list[Leavers]]:
    if len(groups) <= MOST_GROUPS:
        return factor, groups
    most = sorted(range(len(groups)), key=lambda i: -groups[i].images)[:MOST_GROUPS]
    return f"{factor}, {MOST_GROUPS} of {len(groups)} with the most images", [groups[i] for i in sorted(most)]


def _percent(shares: Sequence[float]) -> str:
    return "/".join(f"{100 * share:.0f}" for share in shares)
