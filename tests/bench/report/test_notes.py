"""The notes say what the records hold, and nothing when there is nothing to say."""

from bench.report.notes import notes


def ratio(value: float) -> dict:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def test_int8_that_is_slower_is_named_and_faster_int8_is_not(make):
    slow = make("quant-int8", 0.3, 4.2, variant="int8", speed_up=ratio(0.93))
    fast = make("quant-int8", 0.3, 2.2, variant="int8", speed_up=ratio(1.6))
    assert notes([slow]) == [f"quant-int8: int8 is slower than fp32 here (0.93x on {slow.runtime})"]
    assert notes([fast]) == []


def test_a_gate_is_set_against_chance_where_images_really_part(make):
    drawn = {"mean": 0.28, "low": 0.27, "high": 0.29}
    gate = make("early_exit-tol5", 0.3, 3.0, share=(0.4, 0.6), random_exits=drawn)
    assert notes([gate]) == ["early_exit-tol5: mAP 0.300; exits at random 0.280 [0.270, 0.290]"]
    assert notes([make("early_exit-tol5", 0.3, 3.0, share=(1.0, 0.0), random_exits=drawn)]) == []


def test_a_composition_is_set_against_the_product_of_its_parts(make):
    parts = [
        make("prune-30pct", 0.3, 3.0, strategy="prune", variant="30pct", speed_up=ratio(1.5)),
        make("prune-50pct", 0.3, 2.0, strategy="prune", variant="50pct", speed_up=ratio(2.5)),
        make("quant-int8", 0.3, 2.2, strategy="quant", variant="int8", speed_up=ratio(1.4)),
    ]
    both = make("prune+quant-30pct-int8", 0.3, 2.0, strategy="prune+quant", variant="30pct-int8", speed_up=ratio(1.8))
    assert notes([*parts, both]) == [
        "prune+quant-30pct-int8: 1.80x, against 2.10x if the gains of prune-30pct x quant-int8 multiplied"
    ]
    assert notes([both]) == []
