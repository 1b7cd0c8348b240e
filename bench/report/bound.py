"""How much of what exits could give at best a gate reaches, where it may lose a little accuracy.

Its speed-up is set beside the one that it would have if every image left at the first exit (Amdahl, AFIPS 1967).
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.judge.groups import multi_exit
from bench.judge.verdict import is_early
from bench.records import Record, baseline_of
from bench.report.records_table import speed_limit

LOSSES = (0.05, 0.03)  # relative to the fp32 baseline's mAP on test


def towards_bound(here: Sequence[Record]) -> list[str]:
    """The fastest gate that loses at most each of LOSSES, for every multi-exit detector with gates.

    Args:
        here: the records of one runtime.

    Returns:
        A line per detector and gate; one line where two losses have the same gate. Empty without the fp32 baseline.
    """
    baseline = baseline_of(here, here[0].runtime)
    lines: list[str] = []
    if baseline is None:
        return lines
    for name, points in multi_exit(here).items():
        gates = [r for r in points if is_early(r)]
        found: dict[str, list[str]] = {}
        for loss in LOSSES if gates else ():
            kept = [r for r in gates if r.map >= (1 - loss) * baseline.map]
            gate = min(kept, key=lambda r: r.latency_ms.mean) if kept else None
            found.setdefault(reached(gate, here) if gate else "none", []).append(f"{100 * loss:g} %")
        for said, losses in found.items():
            lines.append(f"{name}, fastest gate at most {' and '.join(losses)} under the baseline's mAP: {said}")
    return lines


def reached(gate: Record, here: Sequence[Record]) -> str:
    """A gate in words: how many leave early, its mAP beside its controls', its speed-up, and its share of the bound.

    Args:
        gate: the record of a gate.
        here: the records of its runtime, among them the baseline.

    Returns:
        The facts, separated by commas.
    """
    ratio, bound = gate.speed_up, speed_limit(gate, here)
    controls = [f"{gate.random_exits.mean:.3f} at random"] if gate.random_exits else []
    controls += [f"{gate.oracle:.3f} by the oracle"] if gate.oracle is not None else []
    facts = [
        f"{gate.operating_point.name}, {100 * (1 - gate.exit_share[-1]):.0f} % leave early",
        f"mAP {gate.map:.3f}" + (f" ({', '.join(controls)})" if controls else ""),
        f"{ratio.value:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]",
        *([_way(ratio.value, bound)] if bound else []),
    ]
    return ", ".join(facts)


def _way(speed_up: float, bound: float) -> str:
    if bound <= 1:
        return f"and everybody's leaving at once is no faster than the baseline, {bound:.2f}x"
    share = (speed_up - 1) / (bound - 1)
    return f"{f'{100 * share:.0f} %' if share > 0 else 'none'} of the way to its bound, {bound:.2f}x"
