"""What a reader of the table should be told in words.

What is fastest at the baseline's accuracy, what removed multiply-adds were worth, how far gates get towards their
bound, gates between chance and the oracle, int8 that does not pay, what scores are worth, and compositions whose gains
do not multiply.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.judge.groups import by_runtime, over_eager, short_name
from bench.judge.verdict import TOLERATED, Verdict
from bench.records import Record, baseline_of
from bench.report.bound import towards_bound
from bench.report.calibration import calibration_errors, with_temperatures
from bench.report.records_table import speed_limit

PIECE = 100e6  # multiply-adds


def notes(records: Sequence[Record]) -> list[str]:
    """One line per finding, runtime by runtime.

    Gates against their controls, and calibration, are matters of accuracy, in which runtimes agree: they are said once,
    on the fastest.

    Args:
        records: of one run.

    Returns:
        The lines, which begin with the runtime where there are several; empty when there is nothing to say.
    """
    sections = by_runtime(records)
    once = {short_name(r): r for here in reversed(sections.values()) for r in here}
    found = []
    for runtime, here in sections.items():
        lines = [fastest(here, records), _pruned(here), *towards_bound(here)]
        for record in here:
            controls = gate_and_controls(record) if once[short_name(record)] is record else None
            lines += [controls, _slow_int8(record)]
        lines += calibration_errors([record for record in here if once[short_name(record)] is record])
        lines += with_temperatures(here)
        lines += _executed(here)
        gains = [gain for record in here if (gain := _gain(record, here))]
        lines.append(
            f"speed-ups of compositions, against the product of their parts': {', '.join(gains)}" * bool(gains)
        )
        prefix = f"{runtime}: " if len(sections) > 1 else ""
        found += [prefix + line for line in lines if line]
    return found


def fastest(here: Sequence[Record], records: Sequence[Record]) -> str | None:
    """The fastest point that keeps the fp32 baseline's mAP within TOLERATED, if it is faster beyond the interval."""
    baseline = baseline_of(here, here[0].runtime)
    others = [r for r in here if r.strategy != "baseline"]
    if baseline is None or not others:
        return None
    close = f"within {100 * TOLERATED:.0f} % of the fp32 baseline's mAP"
    kept = [r for r in others if r.map >= (1 - TOLERATED) * baseline.map and r.speed_up.low > 1]
    if not kept:
        return f"nothing {close} is faster than it"
    best = min(kept, key=lambda r: r.latency_ms.mean)
    paired = best.speed_up
    line = f"fastest {close}: {short_name(best)}, {paired.value:.2f}x [{paired.low:.2f}, {paired.high:.2f}]"
    eager = over_eager(best, records) if best.runtime != "eager" else None
    return f"{line}, {eager:.2f}x against eager fp32" if eager else line


def _pruned(here: Sequence[Record]) -> str | None:
    """What pruning saved per multiply-add, against what the baseline spends on one."""
    baseline = baseline_of(here, here[0].runtime)
    pruned = [r for r in here if "prune" in r.strategy.split("+") and len(r.per_exit) == 1]
    if baseline is None or not pruned:
        return None
    average = baseline.latency_ms.mean / baseline.flops_mean * PIECE
    each = ", ".join(_saving(r, baseline) for r in pruned)
    return f"ms saved per 100 MFLOPs saved (the baseline takes {average:.3g} per 100): {each}"


def _saving(record: Record, baseline: Record) -> str:
    name = short_name(record) + (f" (with {record.precision})" if record.precision != baseline.precision else "")
    flops = baseline.flops_mean - record.flops_mean
    if flops <= 0:
        return f"{name} saved no MFLOPs"
    if record.speed_up.low <= 1:
        return f"{name} none, {flops / 1e6:.0f} MFLOPs fewer are not faster"
    return f"{name} {(baseline.latency_ms.mean - record.latency_ms.mean) / flops * PIECE:.3g}"


def gate_and_controls(record: Record) -> str | None:
    """A gate between its controls: the same shares of exits dealt out at random, and the oracle at its cost.

    Args:
        record: of any operating point.

    Returns:
        A line, or None unless images really leave at different exits.
    """
    drawn = record.random_exits
    if drawn is None or max(record.exit_share) == 1:
        return None
    name = short_name(record)
    line = f"{name}: mAP {record.map:.3f}; exits at random {drawn.mean:.3f} [{drawn.low:.3f}, {drawn.high:.3f}]"
    if record.oracle is None:
        return line
    efficiency = record.gate_efficiency
    room = "no more than chance" if efficiency is None else f"gate efficiency {efficiency:.2f}"
    return f"{line}, by the oracle {record.oracle:.3f}: {room}"


def behind(verdict: Verdict, records: Sequence[Record]) -> str:
    """What stands behind the gate that a verdict is about.

    Args:
        verdict: of a run.
        records: of the run.

    Returns:
        The gate's controls, and the bound on any gate over its exits; empty where no gate speaks.
    """
    speaks = next((r for r in records if r.name == verdict.early), None)
    controls = gate_and_controls(speaks) if speaks else None
    limit = speed_limit(speaks, records) if speaks else None
    facts = [controls, f"no gate over its exits is faster than {limit:.2f}x the baseline" if limit else None]
    return "; ".join(filter(None, facts)) + "." if any(facts) else ""


def _executed(here: Sequence[Record]) -> list[str]:
    """The gates' paths as they were really executed, against the simulation: what was confirmed, and what was not."""
    gates = [(r, r.execution) for r in here if r.execution]
    if not gates:
        return []
    true = [not found.exits_differ and not found.detections_differ for _, found in gates]
    timed = sum(bool(found.within) for (_, found), same in zip(gates, true, strict=True) if same)
    lines = [
        f"executed on all {gates[0][1].images:,} test images, {sum(true)} of {len(gates)} gates left and answered "
        f"exactly as simulated; {timed} took the predicted mean time"
    ]
    for (record, found), same in zip(gates, true, strict=True):
        time = record.latency_ms
        if not same:
            what = f"{found.exits_differ} images left elsewhere than simulated, {found.detections_differ} were answered"
            lines.append(f"{short_name(record)}: {what} otherwise: do not trust its accuracy")
        elif not found.within:
            low, high = time.mean_interval
            what = f"{found.predicted_ms:.2f} ms predicted, {time.mean:.2f} [{low:.2f}, {high:.2f}] measured"
            lines.append(f"{short_name(record)}: {what}")
    return lines


def alarms(records: Sequence[Record]) -> list[str]:
    """One line per alarm, with the names of the records that raise it."""
    raised: dict[str, list[str]] = {}
    for record in records:
        for alarm in record.alarms:
            raised.setdefault(alarm, []).append(record.name)
    return [f"ALARM {alarm} ({', '.join(names)})" for alarm, names in raised.items()]


def _slow_int8(record: Record) -> str | None:
    """int8 on its own that is slower than fp32, beyond the interval of its ratio."""
    if record.strategy != "quant" or record.speed_up.high >= 1:
        return None
    return f"{short_name(record)}: int8 is slower than fp32 here ({record.speed_up.value:.2f}x on {record.runtime})"


def _gain(record: Record, here: Sequence[Record]) -> str | None:
    """The speed-up of `a+b` against the product of what a and b gave alone, when both are in the run."""
    parts = record.strategy.split("+")
    alone = [one for part in parts if (one := _alone(part, record, here))]
    if len(parts) < 2 or len(alone) < len(parts):
        return None
    product = 1.0
    for one in alone:
        product *= one.speed_up.value
    return f"{short_name(record)} {record.speed_up.value:.2f}x of {product:.2f}x"


def _alone(part: str, composed: Record, here: Sequence[Record]) -> Record | None:
    """The record of one part of a composition.

    It is of the longest variant that the composed one names, and of the same operating point where the part has
    several.
    """
    fitting = [
        r
        for r in here
        if r.strategy == part
        and f"-{r.variant}-" in f"-{composed.variant}-"
        and (len(r.per_exit) == 1 or r.operating_point.name == composed.operating_point.name)
    ]
    return max(fitting, key=lambda r: len(r.variant), default=None)
