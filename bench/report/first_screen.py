"""What a run ends in: on one screen the points that matter, alarms, the verdict, and where to read on."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.judge.frontier import frontier, frontier_probability
from bench.judge.groups import by_runtime
from bench.judge.verdict import Verdict, is_early, verdict
from bench.records import Record, baseline_of, same_split
from bench.report.formats import terminal
from bench.report.notes import alarms, fastest
from bench.report.page import Column, Line, Lines, Page, Row, Section, Table, lines
from bench.report.records_table import bracketed, exit_shares, map_interval, speed_up, variant
from bench.report.run_page import verdict_style
from bench.report.selection import best_of_each

MOST_LINES = 40
MOST_ALARMS = 3
PICTURES = ("pareto.png", "leavers.png")
COLUMNS = (
    Column("", words=True, spare=1),
    Column("F %"),
    Column("strategy", words=True),
    Column("variant", words=True),
    Column("mAP"),
    Column("[95 %]", spare=2),
    Column("ms"),
    Column("speed"),
    Column("exits %", words=True),
)
LEGEND = ("F %: probability of being on the frontier; speed: against the fp32 baseline; >: in the verdict",)


def first_screen(records: Sequence[Record], folder: Path, name: str, console: Console) -> str:
    """What matters most of a run, on one screen.

    A table of the frontier, the gates and the baseline on the runtime that would be shipped, a line on every other
    runtime, the noise, alarms, the verdict, and where to read on.

    Args:
        records: of one run.
        folder: of the run, with what was drawn of it.
        name: what `bench report` finds the run by.
        console: whose width and colours to use.

    Returns:
        Text of at most MOST_LINES lines; of many gates those that are worth most.

    Raises:
        UserError: the records were measured on different test splits.
    """
    same_split(records)
    found = verdict(records)
    here = shipped(records, found)
    ranked = by_worth(here, found)
    rows = _rows(here, found)
    said, judged, further = _below(records, here, found, folder, name, console.width)
    for count in range(min(len(ranked), MOST_LINES), 0, -1):
        shown = ranked[:count]
        table = Table(COLUMNS, [Section([rows[r.name] for r in here if r in shown])], _title(here), LEGEND)
        more = Lines([*_left_out(here, shown, name), *said], listed=False)
        text = terminal(Page([table, more, judged, further]), console)
        if text.count("\n") <= MOST_LINES:
            break
    return text


def shipped(records: Sequence[Record], found: Verdict) -> list[Record]:
    """The records of the runtime that the verdict is about, or of the fastest where it names none; fastest first."""
    runtimes = by_runtime(records)
    runtime = next((r.runtime for r in records if r.name == found.early), next(iter(runtimes)))
    return sorted(runtimes[runtime], key=lambda r: r.latency_ms.mean)


def by_worth(here: Sequence[Record], found: Verdict) -> list[Record]:
    """The points of a runtime that the first screen is about, those that it needs most at the beginning.

    Args:
        here: the records of one runtime.
        found: the run's verdict.

    Returns:
        What the verdict names, the baseline, the frontier, of every strategy its best gate, and the other gates, the
        most accurate first.
    """
    named = [r for r in here if r.name in (found.early, *found.against)]
    baseline = [r for r in [baseline_of(here, here[0].runtime)] if r]
    edge = [here[k] for k in frontier([(_ms(r), r.map) for r in here])]
    gates = sorted((r for r in here if is_early(r)), key=lambda r: -r.map)
    ordered = [*named, *baseline, *edge, *best_of_each(gates, _ms, baseline[0] if baseline else None), *gates]
    return list({r.name: r for r in ordered}.values())


def _ms(record: Record) -> float:
    return record.latency_ms.mean


def _rows(here: Sequence[Record], found: Verdict) -> dict[str, Row]:
    """Name -> its row."""
    front, against = frontier_probability(here), found.against
    winner = "bold green" if found.decision == "NOT WORTH IT" else "bold"
    rows = {}
    for r in here:
        marked = r.name == found.early or r.name in against
        style = verdict_style(found, here) if r.name == found.early else winner if marked else ""
        cells = (
            ">" if marked else "",
            f"{100 * front[r.name]:.0f}",
            r.strategy,
            variant(r),
            f"{r.map:.3f}",
            map_interval(r),
            f"{_ms(r):.2f}",
            speed_up(r, here),
            exit_shares(r),
        )
        rows[r.name] = Row(cells, style)
    return rows


def _title(here: Sequence[Record]) -> str:
    first = here[0]
    return f"Frontier and gates on {first.runtime}, {first.test_images:,} test images, the fastest first"


def _left_out(here: Sequence[Record], shown: Sequence[Record], name: str) -> list[Line]:
    missing = [r for r in here if r not in shown]
    gates = sum(map(is_early, missing))
    parts = [f"{gates} gate{'s' * (gates > 1)}"] * bool(gates)
    parts += [f"{len(missing) - gates} other point{'s' * (len(missing) - gates > 1)}"] * (len(missing) > gates)
    text = f"not shown: {' and '.join(parts)} (bench report {shlex.quote(name)} --all)"
    return [Line(text, whole=True)] * bool(missing)


def _below(
    records: Sequence[Record], here: Sequence[Record], found: Verdict, folder: Path, name: str, width: int
) -> tuple[list[Line], Lines, Lines]:
    """What stands under the table: noise and alarms, the verdict, and where to read on."""
    first = here[0]
    machine = f"{first.environment.cpu}, {first.environment.threads} threads"
    said = [Line(f"noise: the baseline's time against its own is {bracketed(first.noise)}; {machine}", "dim")]
    for runtime, others in by_runtime(records).items():
        if runtime != first.runtime:
            baseline = baseline_of(others, runtime)
            facts = [f"fp32 baseline {_ms(baseline):.2f} ms" if baseline else "", fastest(others, records) or ""]
            said.append(Line(_cut(f"{runtime}: {'; '.join(filter(None, facts))}", width)))
    raised = alarms(records)
    said += [Line(_cut(line, width), "bold red") for line in raised[:MOST_ALARMS]]
    if (more := len(raised) - MOST_ALARMS) > 0:
        text = f"and {more} more alarm{'s' * (more > 1)}: bench report {shlex.quote(name)} --all"
        said.append(Line(text, "red", whole=True))
    sentence = Line(found.sentence, verdict_style(found, records))
    judged = Lines([sentence, *lines([found.at_equal_map]).lines], False)
    return said, judged, Lines([Line(text, "dim", whole=True) for text in _next(here, folder, name)], False)


def _next(here: Sequence[Record], folder: Path, name: str) -> list[str]:
    """Where to read on."""
    asked = {f"bench report {shlex.quote(name)} --all": "every point, table and note"}
    baseline = baseline_of(here, here[0].runtime)
    if baseline and any((folder / "tables").glob("*")):
        budget = f"{0.75 * _ms(baseline):.2g}ms"
        asked[f"bench sweep {shlex.quote(name)} --budget {budget}"] = "any other policy over the same exits"
    else:
        asked[f"bench report {shlex.quote(name)} --format latex"] = "or markdown, csv, json"
    room = max(map(len, asked))
    found = [f"{command:<{room}}  {what}" for command, what in asked.items()]
    drawn = [picture for picture in PICTURES if (folder / picture).exists()]
    return [*found, f"pictures in {folder}: {', '.join(drawn)}"]


def _cut(text: str, width: int) -> str:
    """A text on one line, without its last words where it is longer."""
    return textwrap.shorten(text, width, placeholder=" ...", break_on_hyphens=False)
