"""Few points are all worth a name; of many the frontier is, the baseline, and one of each strategy."""

from bench.report.telling import MOST_NAMES, telling


def test_of_many_points_the_telling_ones_are_named(make):
    baseline, fast = make("baseline", 0.4, 3.0), make("quant-int8", 0.39, 2.0, strategy="quant")
    crowd = [make(f"prune-{n}", 0.3, 4.0 + 0.01 * n, strategy="prune") for n in range(MOST_NAMES)]
    near = make("prune-near", 0.385, 6.0, strategy="prune")
    few = [baseline, fast, near]
    assert telling(few, lambda r: r.latency_ms.mean) == {r.name for r in few}
    assert telling([*few, *crowd], lambda r: r.latency_ms.mean) - {""} == {r.name for r in few}
