"""A run's records as tables: one row per operating point, as wide as a page is or as narrow as a terminal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from bench.judge.frontier import frontier_probability
from bench.judge.groups import by_runtime, over_eager, short_name
from bench.records import Ratio, Record, baseline_of, same_split
from bench.report.page import Column, Row, Section, Table
from bench.stats import samples_needed

Cell = Callable[[Record], str]


def wide_columns(records: Sequence[Record]) -> dict[Column, Cell]:
    """The columns of a page, where records go by their names and intervals stand beside the numbers.

    Args:
        records: of one run.

    Returns:
        Each column, and what a record shows in it.
    """
    front = frontier_probability(records)
    unit, count = flops_format(records)
    eager = over_eager(records[0], records) is not None
    return {
        Column("F %"): lambda r: f"{100 * front[r.name]:.0f}",
        Column("name", words=True): short_name,
        Column("mAP [95 %]"): lambda r: f"{r.map:.3f} {map_interval(r)}",
        Column("AP50"): lambda r: f"{r.map50:.3f}",
        Column(unit): lambda r: count(r.flops_mean),
        Column("MB"): lambda r: f"{r.size_mb:.1f}",
        Column("ms"): lambda r: f"{r.latency_ms.mean:.2f}",
        Column("p90"): lambda r: f"{r.latency_ms.p90:.2f}",
        Column("speed [95 %]"): lambda r: " ".join(filter(None, (speed_up(r, records), speed_interval(r, records)))),
        **({Column("vs eager"): lambda r: f"{over_eager(r, records):.2f}x"} if eager else {}),
        **({Column("images/s"): images_per_second} if any(r.throughput for r in records) else {}),
        Column("exits %", words=True): exit_shares,
    }


def narrow_columns(records: Sequence[Record]) -> dict[Column, Cell]:
    """The columns of a terminal, where the strategy stands above its records and spare ones go if there is no room.

    Args:
        records: of one run.

    Returns:
        Each column, and what a record shows in it.
    """
    front = frontier_probability(records)
    unit, count = flops_format(records)
    eager = over_eager(records[0], records) is not None
    return {
        Column("F %"): lambda r: f"{100 * front[r.name]:.0f}",
        Column("variant", words=True): variant,
        Column("mAP"): lambda r: f"{r.map:.3f}",
        Column("mAP 95 %", spare=2): map_interval,
        Column("AP50", spare=1): lambda r: f"{r.map50:.3f}",
        Column(unit): lambda r: count(r.flops_mean),
        Column("MB", spare=4): lambda r: f"{r.size_mb:.1f}",
        Column("ms"): lambda r: f"{r.latency_ms.mean:.2f}",
        Column("p90", spare=3): lambda r: f"{r.latency_ms.p90:.2f}",
        Column("speed"): lambda r: speed_up(r, records),
        Column("speed 95 %", spare=5): lambda r: speed_interval(r, records),
        **({Column("vs eager"): lambda r: f"{over_eager(r, records):.2f}x"} if eager else {}),
        Column("exits %", words=True): exit_shares,
    }


def variant(record: Record) -> str:
    """What a record's name says beyond its strategy: the variant and the operating point; '-' when it says no more."""
    return short_name(record).removeprefix(record.strategy).removeprefix("-") or "-"


def map_interval(record: Record) -> str:
    """The 95 % interval of its mAP."""
    return f"[{record.map_interval[0]:.3f}, {record.map_interval[1]:.3f}]"


def exit_shares(record: Record) -> str:
    """How many images each exit answers, in per cent, e.g. '12/30/58'."""
    return percent(record.exit_share)


def percent(shares: Iterable[float]) -> str:
    """Shares from 0 to 1 in per cent, e.g. '12/30/58'."""
    return "/".join(f"{100 * share:.0f}" for share in shares)


def images_per_second(record: Record) -> str:
    """Throughput in batches, e.g. '412'; '-' where none was measured."""
    return f"{record.throughput.images_per_second:.0f}" if record.throughput else "-"


def flops_format(records: Sequence[Record]) -> tuple[str, Callable[[float], str]]:
    """The unit to show multiply-adds in, and how: MFLOPs, or GFLOPs when a record needs a billion or more."""
    if max(r.flops_mean for r in records) >= 1e9:
        return "GFLOPs", lambda flops: f"{flops / 1e9:.2f}"
    return "MFLOPs", lambda flops: f"{flops / 1e6:.0f}"


def speed_up(record: Record, records: Sequence[Record]) -> str:
    """Mean latency of the fp32 baseline on the same runtime over the record's, e.g. '1.52x'; '-' without one."""
    baseline = baseline_of(records, record.runtime)
    return f"{baseline.latency_ms.mean / record.latency_ms.mean:.2f}x" if baseline else "-"


def speed_interval(record: Record, records: Sequence[Record]) -> str:
    """The 95 % interval of `speed_up`; empty for the baseline itself and without one."""
    baseline = baseline_of(records, record.runtime)
    if baseline is None or record is baseline:
        return ""
    return f"[{record.speed_up.low:.2f}, {record.speed_up.high:.2f}]"


def speed_limit(record: Record, records: Sequence[Record]) -> float | None:
    """The speed-up that no gate over this detector's exits can pass (Amdahl, AFIPS 1967).

    Every image has to go the way to the first exit, so it is the mean latency of the fp32 baseline on the same runtime
    over that of always leaving there.

    Args:
        record: of a multi-exit detector.
        records: of the run.

    Returns:
        The bound, or None without that baseline or where the exits were not timed.
    """
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
    if throughput := next((r.throughput for r in records if r.throughput), None):
        lines.append(f"images/s: {throughput.batch} images at once")
    if over_eager(first, records):
        lines.append("vs eager: against the fp32 baseline in eager PyTorch")
    lines += [
        f"{unit}: mean per image, {first.flops_unit}",
        "[95 %]: bootstrap over the test images",
        f"F %: probability of being on the frontier of mAP and ms{own}, images drawn anew for both",
    ]
    lines += _tails(sections)
    noise = _each_on({runtime: bracketed(here[0].noise) for runtime, here in sections.items()}, sections)
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
    for record in detectors(records).values():
        if record.chain_overhead:
            name = " ".join(filter(None, [record.strategy, record.variant, record.precision]))
            limit = speed_limit(record, records)
            bound = f", no gate faster than {limit:.2f}x" if limit else ""
            found.setdefault(name, {})[record.runtime] = bracketed(record.chain_overhead) + bound
    return found


def wide_table(records: Sequence[Record], shown: Sequence[Record] | None = None) -> Table:
    """One row per record, under the name of its runtime if there are several.

    Args:
        records: of one run.
        shown: those of them that have a row; all when not given.

    Returns:
        The table.

    Raises:
        UserError: the records were measured on different test splits.
    """
    same_split(records)
    cells, runtimes = wide_columns(records), by_runtime(shown or records)
    sections = [
        Section([Row([cell(r) for cell in cells.values()]) for r in here], runtime if len(runtimes) > 1 else "")
        for runtime, here in runtimes.items()
    ]
    return Table(list(cells), sections)


def narrow_table(records: Sequence[Record]) -> Table:
    """One row per record, under the name of its strategy.

    Args:
        records: of one run.

    Returns:
        The table, with what its columns mean.

    Raises:
        UserError: the records were measured on different test splits.
    """
    same_split(records)
    cells, runtimes = narrow_columns(records), by_runtime(records)
    sections = []
    for runtime, here in runtimes.items():
        for strategy in dict.fromkeys(r.strategy for r in here):
            style = "bold" if strategy == "baseline" else ""
            own = [Row([cell(r) for cell in cells.values()], style) for r in here if r.strategy == strategy]
            sections.append(Section(own, f"{strategy} on {runtime}" if len(runtimes) > 1 else strategy))
    return Table(list(cells), sections, notes=caption(records))


def detectors(records: Sequence[Record]) -> dict[str, Record]:
    """One record per multi-exit detector: its operating points share the static exits."""
    found: dict[tuple[str, ...], Record] = {}
    for here in by_runtime(records).values():
        for record in here:
            if len(record.per_exit) > 1:
                found.setdefault((record.weights_hash, record.precision, record.runtime), record)
    return {" ".join(filter(None, [r.strategy, r.variant, *key[1:]])): r for key, r in found.items()}


def bracketed(ratio: Ratio) -> str:
    """A ratio with its interval."""
    return f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"


def _each_on(values: Mapping[str, str], runtimes: Collection[str]) -> str:
    """Runtime -> value as text, which names the runtime if the report has several."""
    if len(runtimes) == 1:
        return ", ".join(values.values())
    return ", ".join(f"{value} on {runtime}" for runtime, value in values.items())


def _each(values: Iterable[str]) -> str:
    return " / ".join(dict.fromkeys(values))
