"""Several runs of different seeds as one table, what its spread holds and what not, and each run's verdict; for the
terminal (fits 100 columns), and as JSON, CSV and Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.judge.seeds import LEVEL, Moments, Repeat, Row, Spread, moments, sd_factors
from bench.report.csv_text import csv_text, flat
from bench.report.terminal import STYLES
from models.errors import unknown

COLUMNS: Sequence[tuple[str, Callable[[Row], str]]] = (  # header, and what a row shows under it
    ("name", lambda row: row.name.removesuffix(f"-{row.runtime}")),
    ("verdicts", lambda row: f"{row.role} {row.named}" if row.role else ""),
    ("mAP", lambda row: _ap(row.map)),
    ("AP50", lambda row: _ap(row.map50)),
    ("speed-up", lambda row: f"{row.speed_up.mean:.2f}x ±{row.speed_up.sd:.2f}" if row.speed_up else "1.00x"),
    ("exits %", lambda row: "/".join(f"{100 * share:.0f}" for share in row.exit_share)),
    ("ms", lambda row: f"{_ms(row.ms[0])}-{_ms(row.ms[1])}"),
)
MACHINE = ("cpu", "cores", "threads", "os", "python", "git_commit", "libraries")


def _ap(values: Moments) -> str:
    return f"{values.mean:.3f} ±{values.sd:.4f}"


def _ms(ms: float) -> str:
    return f"{ms:.2f}" if ms < 100 else f"{ms:.0f}"


def caption(found: Spread) -> list[str]:
    """What the columns mean, what the spread holds, and how well it is known."""
    first, count = found.runs[0].records[0], len(found.runs)
    low, high = sd_factors(count)
    return [
        f"{count} runs, seeds {', '.join(str(run.seed) for run in found.runs)}; {first.test_images:,} test images, "
        f"split {first.split_hash[:12]}, the same in all",
        f"±: standard deviation over the runs (n - 1); of {count} runs it is uncertain itself: the true one is "
        f"{low:.2f} to {high:.2f} times as large ({100 * LEVEL:.0f} %, if runs scatter normally)",
        "it holds what a seed decides: training, the thresholds and criteria chosen on val, which images are timed and "
        "the bootstrap's draws; and the machine's noise, for the runs are sessions of their own",
        "it does not hold the test images, which are the same in all runs: the intervals of one run do",
        "speed-up: over the fp32 baseline of the same run and runtime, then averaged",
        "exits %: mean over the runs",
        "ms: lowest and highest run; sessions apart are not to be averaged",
        "verdicts: what the runs' verdicts name, and how many do; these rows come first",
    ]


def notes(found: Spread) -> list[str]:
    """What else a reader has to know: records that not all runs have, machines that differ, runs that were forced."""
    lines = [f"only in {', '.join(runs)}: {name}" for name, runs in found.partial.items()]
    differ = [part for part in MACHINE if len({str(_machine(run, part)) for run in found.runs}) > 1]
    if differ:
        lines.append(f"the runs differ in {', '.join(differ)}: the spread holds that too")
    forced = [run.name for run in found.runs if any(record.forced for record in run.records)]
    if forced:
        lines.append(f"WARNING: the baseline failed the foundation check in {', '.join(forced)}")
    return lines


def _machine(run: Repeat, part: str) -> Any:
    return getattr(run.records[0].environment, part)


def verdicts(found: Spread) -> list[str]:
    """Each run's word and number."""
    lines = []
    for run, said in zip(found.runs, found.verdicts, strict=True):
        head = f"{run.name} (seed {run.seed}): "
        if said.early is None:
            lines.append(head + said.sentence)
            continue
        gap = f"{said.difference:+.3f} mAP [{said.low:.3f}, {said.high:.3f}]"
        lines.append(f"{head}{said.decision}: {gap}, {said.early} against {said.against}")
    return lines


def summary(found: Spread) -> str:
    """How often each word was said, and the mean of the numbers."""
    words = [said.decision or "no verdict" for said in found.verdicts]
    counted = ", ".join(f"{word} in {words.count(word)} of {len(words)}" for word in dict.fromkeys(words))
    gaps = [said.difference for said in found.verdicts if said.difference is not None]
    if len(gaps) < len(words):
        return counted
    over = moments(gaps)
    return f"{counted}; difference in mAP {over.mean:+.3f} ±{over.sd:.4f}"


def table(found: Spread) -> Table:
    """One line per name, under the name of its runtime if there are several; those that the verdicts name stand first,
    apart from the others."""
    shown = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for header, _ in COLUMNS:
        wide, left = header == "name", header in ("name", "verdicts")
        style = "dim" if header == "ms" else ""
        shown.add_column(header, justify="left" if left else "right", no_wrap=not wide, overflow="fold", style=style)
    sections = _by_runtime(found)
    for runtime, here in sections.items():
        if len(sections) > 1:
            shown.add_section()
            shown.add_row(Text(runtime, style="bold underline"))
        named = sum(1 for row in here if row.role)
        for number, row in enumerate(here, start=1):
            style = "bold" if row.role == "baseline" else ""
            shown.add_row(*(Text(cell(row)) for _, cell in COLUMNS), style=style, end_section=number == named)
    return shown


def _by_runtime(found: Spread) -> dict[str, list[Row]]:
    sections: dict[str, list[Row]] = {}
    for row in found.rows:
        sections.setdefault(row.runtime, []).append(row)
    return sections


def print_spread(found: Spread, console: Console) -> None:
    """Print the table, what to know about it, and the verdicts."""
    console.print(table(found))
    for style, lines in (("dim", caption(found)), ("", notes(found))):
        for line in lines:
            console.print(Text(f"- {line}", style=style))
    console.print("")
    for line, said in zip(verdicts(found), found.verdicts, strict=True):
        console.print(Text(line, style=STYLES[said.decision]))
    console.print(Text(summary(found), style="bold"))


def export_spread(found: Spread, fmt: str) -> str:
    """The spread as 'json', 'csv' or 'markdown' text. JSON holds all that the terminal says; CSV one row per name, its
    numbers under dotted names. Raises UserError for another format."""
    formats = {"json": _json, "csv": _csv, "markdown": _markdown}
    if fmt not in formats:
        raise unknown("format", fmt, ("table", *formats), where="--format")
    return formats[fmt](found)


def _json(found: Spread) -> str:
    said = ("decision", "difference", "low", "high", "early", "against", "sentence")
    tree = {
        "runs": len(found.runs),
        "sd_factors": sd_factors(len(found.runs)),
        "verdicts": [
            {"run": run.name, "seed": run.seed, **{key: getattr(one, key) for key in said}}
            for run, one in zip(found.runs, found.verdicts, strict=True)
        ],
        "summary": summary(found),
        "rows": [asdict(row) for row in found.rows],
        "partial": found.partial,
        "caption": caption(found),
        "notes": notes(found),
    }
    return json.dumps(tree, indent=1) + "\n"


def _csv(found: Spread) -> str:
    return csv_text([flat(asdict(row)) for row in found.rows])


def _markdown(found: Spread) -> str:
    rows, sections = [[header for header, _ in COLUMNS], ["---"] * len(COLUMNS)], _by_runtime(found)
    for runtime, here in sections.items():
        if len(sections) > 1:
            rows.append([f"**{runtime}**", *[""] * (len(COLUMNS) - 1)])
        rows += [[cell(row) for _, cell in COLUMNS] for row in here]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", *(f"- {line}" for line in (*caption(found), *notes(found)))]
    return "\n".join([*lines, "", *(f"- {line}" for line in verdicts(found)), "", summary(found)]) + "\n"
