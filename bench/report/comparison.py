"""Two runs side by side.

A table of accuracies, a table of times, in words whatever else differs between the runs, and both verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from bench.judge.compare import LEVEL, MAP_MARGIN, TIME_MARGIN, Change, Comparison, Estimate, noise
from bench.judge.groups import short_name
from bench.judge.verdict import verdict
from bench.records import Environment, Record, baseline_of
from bench.report.formats import flat
from bench.report.page import Column, Lines, Page, Row, Section, Table, lines

STYLES = {"better": "green", "worse": "red", "undecided": "yellow", "same": "dim", "-": "dim"}
MACHINE = ("cpu", "cores", "threads", "os", "python")
QUANTITIES: dict[str, Callable[[Change], Estimate | None]] = {
    "mAP of B": lambda change: change.map,
    "time of B as timed": lambda change: change.time,
    "time of B, drift cancelled": lambda change: change.speed_up,
}
Columns = Sequence[tuple[str, Callable[[Change], str]]]  # header, and what a pair shows under it
ACCURACY: Columns = (
    ("name", lambda c: c.name),
    ("mAP A", lambda c: f"{c.map_a:.3f}"),
    ("mAP B", lambda c: f"{c.map_b:.3f}"),
    ("B - A", lambda c: _difference(c.map)),
    ("B is", lambda c: c.map.decision),
)
TIME: Columns = (
    ("name", lambda c: c.name),
    ("ms A", lambda c: _ms(c.ms_a)),
    ("ms B", lambda c: _ms(c.ms_b)),
    ("as timed: A / B", lambda c: _factor(c.time)),
    ("B is", lambda c: c.time.decision),
    ("drift cancelled", lambda c: _factor(c.speed_up) if c.speed_up else "-"),
    ("B is", lambda c: c.speed_up.decision if c.speed_up else "-"),
)


def _difference(estimate: Estimate) -> str:
    value, low, high = (round(end, 3) + 0.0 for end in (estimate.value, estimate.low, estimate.high))
    return f"{value:{'+' if value else ''}.3f} [{low:.3f}, {high:.3f}]"


def _factor(estimate: Estimate) -> str:
    value, low, high = (
        f"{end:.2f}" if end < 100 else f"{end:.0e}" for end in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} [{low}, {high}]"


def _ms(ms: float) -> str:
    return f"{ms:.2f}" if ms < 100 else f"{ms:.0f}"


def caption(found: Comparison) -> list[str]:
    """What the columns mean, line by line."""
    first, pairs = found.a[0], len(found.changes)
    together = f"; of a column, all {pairs} hold together (each at {100 * found.level:.4g} %)" if pairs > 1 else ""
    counted = f"{pairs} pair{'s' * (pairs > 1)}"
    return [
        f"{counted}, {first.test_images:,} test images, split {first.split_hash[:12]}, seed {first.seed}",
        "B - A: difference in mAP; bootstrap over the test images, both runs on the same draws",
        "as timed: ms of A over ms of B, above 1 when B is faster; the runs were not timed together, so the "
        "machine's drift from one to the other is in it, and its interval does not know that",
        "drift cancelled: speed-up of B over speed-up of A, each over its own run's fp32 baseline on the runtime; "
        "what slows all of a run cancels",
        "intervals of times: bootstrap over the timed images, wider by what the noise below says",
        f"[ ]: {100 * LEVEL:.0f} % intervals{together}",
        f"same: the whole interval is within {MAP_MARGIN} mAP or {100 * TIME_MARGIN:.0f} % of time; better, worse: "
        "all of it is on one side; undecided: neither",
    ]


def notes(found: Comparison) -> list[str]:
    """What else a reader has to know: records without a partner, and in what but the results the runs differ."""
    alone = [(label, [(short_name(r), r.runtime) for r in rest]) for label, rest in _sides(found.only_a, found.only_b)]
    several = len({r.runtime for r in (*found.a, *found.b)}) > 1
    lines = [f"only in {label}: {_named(names, several)}" for label, names in alone if names]
    return [*lines, *_weights(found), *_noises(found), *_environments(found), *_preparations(found)]


def _sides(a: Any, b: Any) -> Iterator[tuple[str, Any]]:
    return zip("AB", (a, b), strict=True)


def _named(names: Iterable[tuple[str, str]], several: bool) -> str:
    """Names, each with the runtimes it is meant on where there are several."""
    runtimes: dict[str, list[str]] = {}
    for name, runtime in names:
        runtimes.setdefault(name, []).append(runtime)
    return ", ".join(f"{name} ({', '.join(on)})" if several else name for name, on in runtimes.items())


def _weights(found: Comparison) -> list[str]:
    """Which pairs are not of the same weights or thresholds."""
    changed, rerouted = (
        list(dict.fromkeys(c.name for c in found.changes if not same(c)))
        for same in (lambda c: c.same_weights, lambda c: c.same_policy)
    )
    lines = [f"weights differ: {', '.join(changed)}" if changed else "weights are the same in every pair"]
    return lines + [f"thresholds differ: {', '.join(rerouted)}"] * bool(rerouted)


def _noises(found: Comparison) -> list[str]:
    """By how much the intervals of times are wider than the bootstrap's, where runs were really timed twice."""
    lines = []
    for runtime, here in _by_runtime(found).items():
        a, b = (next(r for r in run if r.runtime == runtime) for run in (found.a, found.b))
        if all(c.time.low == c.time.high for c in here):
            continue
        line = (
            f"noise on {runtime}: the baseline's time against its own is {a.noise.value:.3f} in A and "
            f"{b.noise.value:.3f} in B, together {100 * np.expm1(noise(a, b)):.1f} %"
        )
        if (moved := found.moved.get(runtime, 1)) > 1:
            line += f"; detectors that did not change moved by up to {100 * (moved - 1):.1f} % with drift cancelled"
        lines.append(line)
    return lines


def _environments(found: Comparison) -> list[str]:
    """Where the machines and the programs differ."""
    here, there = ([r.environment for r in run] for run in (found.a, found.b))
    differences = [
        _differs(field, (getattr(e, field) for e in here), (getattr(e, field) for e in there)) for field in MACHINE
    ]
    for library in sorted({name for e in (*here, *there) for name in e.libraries}):
        versions = ((e.libraries.get(library) for e in run) for run in (here, there))
        differences.append(_differs(library, *versions))
    lines = [line for line in differences if line]
    if lines:
        lines.append("machines or libraries differ: a ratio of times compares them too, not detectors alone")
    commit = _differs("git commit", map(_commit, here), map(_commit, there))
    return [*lines, commit] if commit else lines


def _commit(environment: Environment) -> str | None:
    commit = environment.git_commit
    return commit and commit[:7] + " with uncommitted changes" * bool(environment.dirty)


def _preparations(found: Comparison) -> list[str]:
    """Where training and validation images, the foundation, or the timed images differ."""
    lines = []
    for role in ("train", "val"):
        hashes = ((r.splits.get(role, "none")[:12] for r in run) for run in (found.a, found.b))
        lines.append(_differs(f"{role} split", *hashes))
    reached = (
        (f"AP50 {r.foundation.map50:.3f} of {r.foundation.floor:.2f}" for r in run) for run in (found.a, found.b)
    )
    lines.append(_differs("foundation on val", *reached))
    lines.append(_differs("baselines", *(_baselines(run) for run in (found.a, found.b))))
    here, there = ({i for r in run for i in r.latency_ms.images} for run in (found.a, found.b))
    if here != there:
        lines.append(f"timed on other images, {len(here)} in A and {len(there)} in B: drawn independently")
    return [line for line in lines if line]


def _baselines(run: Sequence[Record]) -> list[str]:
    found = (baseline_of(run, runtime) for runtime in dict.fromkeys(r.runtime for r in run))
    return [f"weights {r.weights_hash[:7]}" for r in found if r]


def _differs(what: str, a: Iterable[Any], b: Iterable[Any]) -> str | None:
    """'what: A 1, B 2'; None when both runs show the same values."""
    shown = [sorted({"none" if value is None else str(value) for value in run}) for run in (a, b)]
    if shown[0] == shown[1]:
        return None
    return f"{what}: " + ", ".join(f"{label} {' / '.join(values) or 'none'}" for label, values in _sides(*shown))


def summary(found: Comparison) -> list[str]:
    """What B is, quantity by quantity: the names of the pairs that are called, the number of the others."""
    lines, several = [], len(_by_runtime(found)) > 1
    for quantity, of in QUANTITIES.items():
        called: dict[str, list[tuple[str, str]]] = {}
        for change in found.changes:
            if estimate := of(change):
                called.setdefault(estimate.decision, []).append((change.name, change.runtime))
        parts = [f"{d} {len(called[d])}: {_named(called[d], several)}" for d in ("better", "worse") if d in called]
        parts += [f"{d} {len(called[d])}" for d in ("same", "undecided") if d in called]
        lines += [f"{quantity}: {'; '.join(parts)}"] * bool(parts)
    return lines


def verdicts(found: Comparison, names: Sequence[str]) -> list[str]:
    """Each run's verdict, with the name it goes by."""
    return [
        f"{label} ({name}): {verdict(run).sentence}"
        for (label, run), name in zip(_sides(found.a, found.b), names, strict=True)
    ]


def heads(found: Comparison, names: Sequence[str]) -> list[str]:
    """Which run is A, which is B, when they were measured, and by which program."""
    lines = []
    for (label, run), name in zip(_sides(found.a, found.b), names, strict=True):
        when, commit = max(r.environment.time for r in run), _commit(run[0].environment)
        lines.append(
            f"{label}: {name}, {len(run)} records, {when[:16].replace('T', ' ')}" + f", {commit}" * bool(commit)
        )
    return lines


def table(found: Comparison, columns: Columns, title: str) -> Table:
    """One line per pair, under the name of its runtime if there are several."""
    sections = _by_runtime(found)
    return Table(
        [Column(header, words=header in ("name", "B is")) for header, _ in columns],
        [
            Section([Row([cell(change) for _, cell in columns]) for change in here], runtime * (len(sections) > 1))
            for runtime, here in sections.items()
        ],
        title,
        tones=STYLES,
    )


def _by_runtime(found: Comparison) -> dict[str, list[Change]]:
    sections: dict[str, list[Change]] = {}
    for change in found.changes:
        sections.setdefault(change.runtime, []).append(change)
    return sections


def comparison_page(found: Comparison, names: Sequence[str]) -> Page:
    """Which runs these are, both tables, what to know about them, and the verdicts.

    As data: all of that for JSON; for CSV one row per pair, its estimates under dotted names.

    Args:
        found: what changed from A to B.
        names: what A and B are called.

    Returns:
        The page.
    """
    said = [*lines(caption(found), "dim").lines, *lines(notes(found)).lines, *lines(summary(found), "bold").lines]
    return Page(
        [
            lines(heads(found, names)),
            table(found, ACCURACY, "Accuracy"),
            table(found, TIME, "Time"),
            Lines(said),
            *(lines([line], "bold", listed=False) for line in verdicts(found, names)),
        ],
        lambda: _tree(found, names),
        lambda: [flat(asdict(change)) for change in found.changes],
    )


def _tree(found: Comparison, names: Sequence[str]) -> dict[str, Any]:
    return {
        **{label.lower(): name for label, name in _sides(*names)},
        "pairs": len(found.changes),
        "level": found.level,
        "changes": [asdict(change) for change in found.changes],
        "moved": found.moved,
        "only_a": [r.name for r in found.only_a],
        "only_b": [r.name for r in found.only_b],
        "notes": notes(found),
        "verdicts": {label.lower(): verdict(run).sentence for label, run in _sides(found.a, found.b)},
    }
