"""What a reader of the table should be told in words: gates against chance, int8 that does not pay, and compositions
whose gains do not multiply."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records import Record


def notes(records: Sequence[Record]) -> list[str]:
    """One line per finding, in the order of the records; none when there is nothing to say."""
    return [
        line for record in records for line in (_chance(record), _slow_int8(record), _gains(record, records)) if line
    ]


def _chance(record: Record) -> str | None:
    """A gate against the same shares of exits dealt out at random, where images really leave at different exits."""
    drawn = record.random_exits
    if drawn is None or max(record.exit_share) == 1:
        return None
    return f"{record.name}: mAP {record.map:.3f}; exits at random {drawn.mean:.3f} [{drawn.low:.3f}, {drawn.high:.3f}]"


def _slow_int8(record: Record) -> str | None:
    """int8 on its own that is slower than fp32, beyond the interval of its ratio."""
    if record.strategy != "quant" or record.speed_up.high >= 1:
        return None
    return f"{record.name}: int8 is slower than fp32 here ({record.speed_up.value:.2f}x on {record.runtime})"


def _gains(record: Record, records: Sequence[Record]) -> str | None:
    """The speed-up of `a+b` against the product of what a and b gave alone, when both are in the run."""
    parts = record.strategy.split("+")
    alone = [_alone(part, record, records) for part in parts]
    if len(parts) < 2 or None in alone:
        return None
    product = 1.0
    for one in alone:
        product *= one.speed_up.value
    names = " x ".join(one.name for one in alone)
    return f"{record.name}: {record.speed_up.value:.2f}x, against {product:.2f}x if the gains of {names} multiplied"


def _alone(part: str, composed: Record, records: Sequence[Record]) -> Record | None:
    """The record of one part of a composition: same runtime, a variant that the composed one names, the same operating
    point where the part has several."""
    fitting = [
        r
        for r in records
        if (r.strategy, r.runtime) == (part, composed.runtime)
        and f"-{r.variant}-" in f"-{composed.variant}-"
        and (len(r.per_exit) == 1 or r.operating_point.name == composed.operating_point.name)
    ]
    return fitting[0] if fitting else None
