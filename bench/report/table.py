"""A run's tables: one line per operating point, a section for each of several runtimes; the static exits; throughput in
batches. They fit 100 columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain

from rich import box
from rich.table import Table
from rich.text import Text

from bench.judge.frontier import frontier_probability
from bench.judge.groups import by_runtime, over_eager, short_name
from bench.records import Ratio, Record, baseline_of, same_split
from bench.stats import samples_needed


def columns(records: Sequence[Record], *, wide: bool = False) -> dict[str, Callable[[Record], str]]:
    """Header -> what a record shows under it, as text; the column `name` names the record. wide: what a
    terminal has no room for: the speed's 95 % interval, throughput, and size beside a comparison with eager."""
    front = frontier_probability(records)
    unit, count = flops_format(records)
    eager = over_eager(records[0], records) is not None
    return {
        "F %": lambda r: f"{100 * front[r.name]:.0f}",
        "name": short_name,
        "mAP [95 %]": lambda r: f"{r.map:.3f} [{r.map_interval[0]:.3f}, {r.map_interval[1]:.3f}]",
        "AP50": lambda r: f"{r.map50:.3f}",
        unit: lambda r: count(r.flops_mean),
        **({"MB": lambda r: f"{r.size_mb:.1f}"} if wide or not eager else {}),
        "ms": lambda r: f"{r.latency_ms.mean:.2f}",
        "p90": lambda r: f"{r.latency_ms.p90:.2f}",
        "speed [95 %]" if wide else "speed": lambda r: speed_up(r, records, interval=wide),
        **({"vs eager": lambda r: f"{over_eager(r, records):.2f}x"} if eager else {}),
        **({"images/s": images_per_second} if wide and any(r.offline for r in records) else {}),
        "exits %": lambda r: "/".join(f"{100 * share:.0f}" for share in r.exit_share),
    }


def images_per_second(record: Record) -> str:
    """Throughput in batches, e.g. '412'; '-' where none was measured."""
    return f"{record.offline.images_per_second:.0f}" if record.offline else "-"


def flops_format(records: Sequence[Record]) -> tuple[str, Callable[[float], str]]:
    """The unit to show multiply-adds in, and how: MFLOPs, or GFLOPs when a record needs a billion or more."""
    if max(r.flops_mean for r in records) >= 1e9:
        return "GFLOPs", lambda flops: f"{flops / 1e9:.2f}"
    return "MFLOPs", lambda flops: f"{flops / 1e6:.0f}"


def speed_up(record: Record, records: Sequence[Record], *, interval: bool = False) -> str:
    """Mean latency of the fp32 baseline on the same runtime over the record's, e.g. '1.52x', on demand with its
    interval; '-' without one."""
    baseline = baseline_of(records, record.runtime)
    if baseline is None:
        return "-"
    shown = f"{baseline.latency_ms.mean / record.latency_ms.mean:.2f}x"
    paired = record.speed_up
    return f"{shown} [{paired.low:.2f}, {paired.high:.2f}]" if interval and record is not baseline else shown


def speed_limit(record: Record, records: Sequence[Record]) -> float | None:
    """The speed-up that no gate over this detector's exits can pass: the mean latency of the fp32 baseline on the same
    runtime over that of always leaving at the first exit, the way that every image has to go (Amdahl, AFIPS 1967). None
    without that baseline, or where the exits were not timed."""
    baseline, first = baseline_of(records, record.runtime), record.per_exit[0].latency_ms
    return baseline.latency_ms.mean / first if baseline and first else None


def caption(records: Sequence[Record]) -> list[str]:
    """Where the numbers come from and what each column means, line by line."""
    first, unit, sections = records[0], flops_format(records)[0], by_runtime(records)
    threads = _each(str(r.environment.threads) for r in records)
    own = " of its runtime" if len(sections) > 1 else ""
    lines = [
        f"{first.test_images:,} test images, split {first.split_hash[:12]}",
        f"runtime {_each(sections)}, threads {threads}, {_each(r.environment.cpu for r in records)}",
        "ms, p90: from the uint8 image in memory to its detections, batch 1",
        "speed: against the fp32 baseline on the same runtime",
    ]
    if offline := next((r.offline for r in records if r.offline), None):
        lines.append(f"images/s: {offline.batch} images at once")
    if over_eager(first, records):
        lines.append("vs eager: against the fp32 baseline in eager PyTorch")
    lines += [
        f"{unit}: mean per image, {first.flops_unit}",
        "[95 %]: bootstrap over the test images",
        f"F %: probability of being on the frontier of mAP and ms{own}, images drawn anew for both",
    ]
    lines += _tails(sections)
    noise = _each_on({runtime: _ratio(here[0].noise) for runtime, here in sections.items()}, sections)
    lines.append(f"noise of this machine: the baseline's time against its own is {noise}")
    for name, overheads in _chains(records).items():
        lines.append(f"{name} as a chain, nobody leaving, against one graph: {_each_on(overheads, sections)}")
    return lines + ["FORCED: the baseline failed the foundation check"] * any(r.forced for r in records)


def _tails(sections: Mapping[str, Sequence[Record]]) -> list[str]:
    """The fp32 baseline's p99 on the runtimes that timed it often enough to know it, and what else is not known."""
    found = {}
    for runtime, here in sections.items():
        baseline = baseline_of(here, runtime)
        if baseline and (bounds := baseline.latency_ms.p99_interval):
            found[runtime] = f"{baseline.latency_ms.p99:.2f} ms [{bounds[0]:.2f}, {bounds[1]:.2f}]"
    lines = [f"p99 of the fp32 baseline: {_each_on(found, sections)}"] if found else []
    everyone = [record for here in sections.values() for record in here]
    fewest = min(len(record.latency_ms.samples) for record in everyone)
    for percent in (90, 99):
        if fewest < samples_needed(percent):
            lines.append(f"p{percent}: {fewest} samples, {samples_needed(percent)} are needed to know it")
    unsteady = _each(record.runtime for record in everyone if not record.latency_ms.steady)
    return lines + [f"some were still getting faster when timing began: {unsteady}"] * bool(unsteady)


def _chains(records: Sequence[Record]) -> dict[str, dict[str, str]]:
    """Multi-exit detector -> runtime -> what its being a chain costs there, and how fast a gate could make it."""
    found: dict[str, dict[str, str]] = {}
    for record in _detectors(records).values():
        if record.chain_overhead:
            name = " ".join(filter(None, [record.strategy, record.variant, record.precision]))
            limit = speed_limit(record, records)
            bound = f", no gate faster than {limit:.2f}x" if limit else ""
            found.setdefault(name, {})[record.runtime] = _ratio(record.chain_overhead) + bound
    return found


def table(records: Sequence[Record]) -> Table:
    """One line per record, under the name of its runtime if there are several. Raises UserError when the records were
    measured on different test splits."""
    same_split(records)
    cells, sections = columns(records), by_runtime(records)
    room = 1 if len(sections) == 1 else 0
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, room, 0, 0), pad_edge=False, caption_justify="left")
    shown.caption = Text("\n".join(caption(records)), style="dim")
    for header in cells:
        wide = header in ("name", "exits %")
        justify = "left" if header in ("name", "exits %") else "right"
        shown.add_column(header, justify=justify, no_wrap=not wide, overflow="fold", min_width=4 if wide else None)
    for runtime, here in sections.items():
        if len(sections) > 1:
            shown.add_section()
            shown.add_row("", Text(runtime, style="bold underline"))
        for record in here:
            style = "bold" if record.strategy == "baseline" else ""
            shown.add_row(*(Text(cell(record)) for cell in cells.values()), style=style)
    return shown


def exits_table(records: Sequence[Record]) -> Table | None:
    """Accuracy and cost when one exit answers every image, per multi-exit detector; None when there is
    none."""
    unit, count = flops_format(records)
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="Every image at one exit", title_justify="left")
    shown.add_column("detector", overflow="fold")
    for header in ("exit", "mAP", "AP50", unit, "ms", "temperature"):
        shown.add_column(header, justify="right")
    for name, record in _detectors(records).items():
        for one in record.per_exit:
            shown.add_row(
                Text("" if one.exit else name),
                str(one.exit + 1),
                f"{one.map:.3f}",
                f"{one.map50:.3f}",
                count(one.flops),
                f"{one.latency_ms:.2f}" if one.latency_ms else "-",
                f"{one.temperature:.2f}" if one.temperature else "-",
                end_section=one.exit == len(record.per_exit) - 1,
            )
    return shown if shown.row_count else None


def batches_table(records: Sequence[Record]) -> Table | None:
    """Throughput when images come in batches, record by record; None when none was measured."""
    timed = [record for record in records if record.offline]
    if not timed:
        return None
    several = len(by_runtime(records)) > 1
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left")
    shown.title = f"{timed[0].offline.batch} images at once; those that stay are regrouped when others leave"
    for header in (*(("runtime",) if several else ()), "name", "images/s", "speed [95 %]", "regrouping %"):
        shown.add_column(header, justify="left" if header in ("runtime", "name") else "right", overflow="fold")
    for record in timed:
        offline = record.offline
        cells = [short_name(record), images_per_second(record), _speed(offline.speed_up)]
        cells.append(f"{100 * offline.regrouping:.1f}" if len(record.per_exit) > 1 else "-")
        shown.add_row(*(Text(cell) for cell in ([record.runtime, *cells] if several else cells)))
    return shown


def _detectors(records: Sequence[Record]) -> dict[str, Record]:
    """One record per multi-exit detector: its operating points share the static exits."""
    found: dict[tuple[str, ...], Record] = {}
    for record in chain.from_iterable(by_runtime(records).values()):
        if len(record.per_exit) > 1:
            found.setdefault((record.weights_hash, record.precision, record.runtime), record)
    return {" ".join(filter(None, [r.strategy, r.variant, *key[1:]])): r for key, r in found.items()}


def _speed(ratio: Ratio) -> str:
    return f"{ratio.value:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]"


def _ratio(ratio: Ratio) -> str:
    return f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"


def _each_on(values: Mapping[str, str], runtimes: Collection[str]) -> str:
    """Runtime -> value as text, which names the runtime if the report has several."""
    if len(runtimes) == 1:
        return ", ".join(values.values())
    return ", ".join(f"{value} on {runtime}" for runtime, value in values.items())


def _each(values: Iterable[str]) -> str:
    return " / ".join(dict.fromkeys(values))
