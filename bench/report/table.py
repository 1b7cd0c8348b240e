"""The terminal's view of a run: one line per operating point, the static exits below it, and the verdict.
Fits 100 columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.records import Ratio, Record, baseline_of, same_split
from bench.report.notes import notes
from bench.verdict import on_frontier, verdict

STYLES = {"WORTH IT": "bold green", "NOT WORTH IT": "bold red", "UNDECIDED": "bold yellow", None: "bold"}


def columns(records: Sequence[Record]) -> dict[str, Callable[[Record], str]]:
    """Header -> what a record shows under it, as text; the first column names the record."""
    winners = on_frontier(records)
    unit, count = flops_format(records)
    return {
        "": lambda r: "*" if r.name in winners else "",
        "name": lambda r: label(r, records),
        "mAP [95 %]": lambda r: f"{r.map:.3f} [{r.map_interval[0]:.3f}, {r.map_interval[1]:.3f}]",
        "AP50": lambda r: f"{r.map50:.3f}",
        unit: lambda r: count(r.flops_mean),
        "MB": lambda r: f"{r.size_mb:.1f}",
        "ms": lambda r: f"{r.latency_ms.mean:.2f}",
        "p90": lambda r: f"{r.latency_ms.p90:.2f}",
        "speed": lambda r: speed_up(r, records),
        "exits %": lambda r: "/".join(f"{100 * share:.0f}" for share in r.exit_share),
    }


def label(record: Record, records: Sequence[Record]) -> str:
    """The record's name, with its runtime when the records come from several."""
    several = len({r.runtime for r in records}) > 1 and record.runtime not in record.name
    return f"{record.name} ({record.runtime})" if several else record.name


def flops_format(records: Sequence[Record]) -> tuple[str, Callable[[float], str]]:
    """The unit to show multiply-adds in, and how: MFLOPs, or GFLOPs when a record needs a billion or more."""
    if max(r.flops_mean for r in records) >= 1e9:
        return "GFLOPs", lambda flops: f"{flops / 1e9:.2f}"
    return "MFLOPs", lambda flops: f"{flops / 1e6:.0f}"


def speed_up(record: Record, records: Sequence[Record]) -> str:
    """Mean latency of the fp32 baseline on the same runtime over the record's, e.g. '1.52x'; '-' without
    one."""
    baseline = baseline_of(records, record.runtime)
    return f"{baseline.latency_ms.mean / record.latency_ms.mean:.2f}x" if baseline else "-"


def caption(records: Sequence[Record]) -> list[str]:
    """Where the numbers come from and what each column means, line by line."""
    first, unit = records[0], flops_format(records)[0]
    runtimes = _each(r.runtime for r in records)
    threads = _each(str(r.environment.threads) for r in records)
    lines = [
        f"{first.test_images:,} test images, split {first.split_hash[:12]}",
        f"runtime {runtimes}, threads {threads}, {_each(r.environment.cpu for r in records)}",
        "ms, p90: from the uint8 image in memory to its detections, batch 1",
        "speed: against the fp32 baseline on the same runtime",
        f"{unit}: mean per image, {first.flops_unit}",
        "[95 %]: bootstrap over the test images; *: on the frontier of mAP and ms",
    ]
    lines.append(f"noise of this machine: the baseline's time against its own is {_ratio(first.noise)}")
    for name, record in _detectors(records).items():
        if record.chain_overhead:
            lines.append(f"{name} as a chain, nobody leaving, against one graph: {_ratio(record.chain_overhead)}")
    return lines + ["FORCED: the baseline missed its foundation gate"] * any(r.forced for r in records)


def table(records: Sequence[Record]) -> Table:
    """One line per record. Raises UserError when the records were measured on different test splits."""
    same_split(records)
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, caption_justify="left")
    shown.caption = Text("\n".join(caption(records)), style="dim")
    cells = columns(records)
    for header in cells:
        wide = header in ("name", "exits %")
        justify = "left" if header in ("", "name", "exits %") else "right"
        shown.add_column(header, justify=justify, no_wrap=not wide, overflow="fold", min_width=4 if wide else None)
    for record in records:
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


def print_report(records: Sequence[Record], console: Console) -> None:
    """Print the table, the static exits and the verdict. Raises UserError when the test splits differ."""
    console.print(table(records))
    if static := exits_table(records):
        console.print("", static)
    for line in notes(records):
        console.print(Text(line))
    found = verdict(records)
    console.print("")
    style = "bold" if any(r.forced for r in records) else STYLES[found.decision]
    console.print(Text(found.sentence, style=style))
    console.print(Text(found.at_equal_map))


def _detectors(records: Sequence[Record]) -> dict[str, Record]:
    """One record per multi-exit detector: its operating points share the static exits."""
    found: dict[tuple[str, ...], Record] = {}
    for record in records:
        if len(record.per_exit) > 1:
            found.setdefault((record.weights_hash, record.precision, record.runtime), record)
    return {" ".join(filter(None, [r.strategy, r.variant, *key[1:]])): r for key, r in found.items()}


def _ratio(ratio: Ratio) -> str:
    return f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"


def _each(values: Iterable[str]) -> str:
    return " / ".join(dict.fromkeys(values))
