"""Few points are all worth a name; of many the frontier is, the baseline, and one of each strategy; points that cover
one another have one name between them."""

from bench.report.selection import MOST_NAMES, select_rows


def test_of_many_points_those_worth_reading_are_named(make):
    baseline, fast = make("baseline", 0.4, 3.0), make("quant-int8", 0.39, 2.0, strategy="quant")
    crowd = [make(f"prune-{n}", 0.3, 4.0 + 0.01 * n, strategy="prune") for n in range(MOST_NAMES)]
    near = make("prune-near", 0.385, 6.0, strategy="prune")
    few = [baseline, fast, near]
    assert select_rows(few, lambda r: r.latency_ms.mean) == {r.name for r in few}
    assert select_rows([*few, *crowd], lambda r: r.latency_ms.mean) - {""} == {r.name for r in few}


def test_points_in_one_place_have_one_name(make):
    """Four gates of one detector that all cost the same, on the frontier as equals; another strategy's point there
    keeps its own name."""
    gates = [make(f"early_exit-{n}", 0.39, 2.0, strategy="early_exit", share=(0.5, 0.5)) for n in range(4)]
    other = make("quant-int8", 0.39, 2.0, strategy="quant")
    crowd = [make(f"prune-{n}", 0.3, 4.0 + 0.01 * n, strategy="prune") for n in range(MOST_NAMES)]
    found = select_rows([make("baseline", 0.4, 3.0), *gates, other, *crowd], lambda r: r.latency_ms.mean)
    assert "quant-int8" in found
    assert len(found & {r.name for r in gates}) == 1
