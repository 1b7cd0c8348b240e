"""Several runs of different seeds as one table, what its spread holds and what not, and each run's verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from bench.judge.seeds import LEVEL, Moments, Repeat, Spread, moments, sd_factors
from bench.judge.seeds import Row as Seed
from bench.report.formats import flat
from bench.report.page import Column, Line, Lines, Page, Row, Section, Table, lines
from bench.report.run_page import STYLES

COLUMNS: Sequence[tuple[str, Callable[[Seed], str]]] = (  # header, and what a row shows under it
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
        lines.append(f"{head}{said.decision}: {gap}, {said.early} against {' and '.join(said.against)}")
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
    """One line per name, under the name of its runtime if there are several.

    Args:
        found: the runs' spread.

    Returns:
        The table, in which what the verdicts name stands first.
    """
    sections = _by_runtime(found)
    return Table(
        [Column(header, words=header in ("name", "verdicts")) for header, _ in COLUMNS],
        [Section([_row(row) for row in here], runtime * (len(sections) > 1)) for runtime, here in sections.items()],
    )


def _row(row: Seed) -> Row:
    return Row([cell(row) for _, cell in COLUMNS], "bold" if row.role else "")


def _by_runtime(found: Spread) -> dict[str, list[Seed]]:
    sections: dict[str, list[Seed]] = {}
    for row in found.rows:
        sections.setdefault(row.runtime, []).append(row)
    return sections


def seeds_page(found: Spread) -> Page:
    """The table, what to know about it, and the verdicts.

    As data: all of that for JSON; for CSV one row per name, its numbers under dotted names.

    Args:
        found: the runs' spread.

    Returns:
        The page.
    """
    said = zip(verdicts(found), found.verdicts, strict=True)
    return Page(
        [
            table(found),
            Lines([*lines(caption(found), "dim").lines, *lines(notes(found)).lines]),
            Lines([Line(line, STYLES[one.decision]) for line, one in said]),
            lines([summary(found)], "bold", listed=False),
        ],
        lambda: _tree(found),
        lambda: [flat(asdict(row)) for row in found.rows],
    )


def _tree(found: Spread) -> dict[str, Any]:
    said = ("decision", "difference", "low", "high", "early", "against", "sentence")
    return {
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
