"""The notes say what the records hold, and nothing when there is nothing to say."""

from bench.report.notes import alarms, notes


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


def test_a_gate_stands_between_chance_and_the_oracle(make):
    drawn = {"mean": 0.28, "low": 0.27, "high": 0.29}
    known = {"share": (0.4, 0.6), "random_exits": drawn}
    gate = make("early_exit-tol5", 0.3, 3.0, oracle=0.34, gate_efficiency=1 / 3, **known)
    lost = make("early_exit-tol1", 0.3, 3.0, oracle=0.285, gate_efficiency=None, **known)
    beside = "mAP 0.300; exits at random 0.280 [0.270, 0.290], by the oracle"
    assert notes([gate, lost]) == [
        f"early_exit-tol5: {beside} 0.340: gate efficiency 0.33",
        f"early_exit-tol1: {beside} 0.285: no more than chance",
    ]


def test_a_composition_is_set_against_the_product_of_its_parts(make):
    parts = [
        make("prune-30pct", 0.3, 3.0, strategy="prune", variant="30pct", speed_up=ratio(1.5)),
        make("prune-50pct", 0.3, 2.0, strategy="prune", variant="50pct", speed_up=ratio(2.5)),
        make("quant-int8", 0.3, 2.2, strategy="quant", variant="int8", speed_up=ratio(1.4)),
    ]
    both = make("prune+quant-30pct-int8", 0.3, 2.0, strategy="prune+quant", variant="30pct-int8", speed_up=ratio(1.8))
    assert notes([*parts, both]) == [
        "speed-ups of compositions, against the product of their parts': prune+quant-30pct-int8 1.80x of 2.10x"
    ]
    assert notes([both]) == []


def test_the_part_of_a_composition_is_the_one_that_it_is_made_of(make):
    def point(strategy: str, variant: str, times: float):
        name = make("early_exit-tol1", 0.3, 3.0).operating_point
        own = {"strategy": strategy, "variant": variant, "operating_point": name, "speed_up": ratio(times)}
        return make(f"{strategy}-{variant}-tol1", 0.3, 3.0, (0.5, 0.5), **own)

    parts = [point("early_exit", "b8", 1.5), point("early_exit", "b8-untempered", 1.1), point("quant", "int8", 2.0)]
    composed = [point("early_exit+quant", variant, 2.1) for variant in ("b8-untempered-int8", "b8-int8")]
    said = notes([*parts, *composed])[-1]
    assert said.endswith("b8-untempered-int8-tol1 2.10x of 2.20x, early_exit+quant-b8-int8-tol1 2.10x of 3.00x")


PLAIN = {"flops_mean": 400e6, "flops_per_exit": [400_000_000]}


def pruned(make, name: str, ms: float, mflops: float, **changes):
    flops = {"flops_mean": mflops * 1e6, "flops_per_exit": [int(mflops * 1e6)]}
    own = {"strategy": "prune", "speed_up": ratio(4.0 / ms), "variant": name.partition("-")[2], **flops}
    return make(name, 0.2, ms, **{**own, **changes})


def saved(found: list[str]) -> list[str]:
    return [line for line in found if "saved per" in line]


def test_what_pruning_saved_stands_beside_what_the_baseline_spends(make):
    records = [
        make("baseline", 0.4, 4.0, **PLAIN),
        pruned(make, "prune-30pct", 3.0, 200),
        pruned(make, "prune-15pct", 4.2, 300),
        pruned(make, "prune-5pct", 3.9, 400),
        pruned(make, "prune+quant-30pct-int8", 1.5, 200, strategy="prune+quant", precision="int8"),
        make("early_exit+prune-30pct-tol1", 0.2, 1.0, share=(0.5, 0.5)),
    ]
    assert saved(notes(records)) == [
        "ms saved per 100 MFLOPs saved (the baseline takes 1 per 100): prune-30pct 0.5, "
        "prune-15pct none, 100 MFLOPs fewer are not faster, prune-5pct saved no MFLOPs, "
        "prune+quant-30pct-int8 (with int8) 1.25"
    ]
    assert saved(notes(records[1:])) == [], "nothing to compare with"
    assert saved(notes(records[:1])) == [], "nothing pruned"


def test_the_fastest_point_that_keeps_the_accuracy_is_named(make):
    baseline = make("baseline", 0.400, 4.0)
    close = make("quant-int8", 0.393, 2.5, speed_up=ratio(1.6))
    closer = make("resize-256", 0.399, 3.0, speed_up=ratio(1.33))
    worse = make("prune-30pct", 0.391, 1.0, speed_up=ratio(4.0))
    line = "fastest within 2 % of the fp32 baseline's mAP: quant-int8, 1.60x [1.59, 1.61]"
    assert line in notes([baseline, closer, close, worse])
    assert "nothing within 2 % of the fp32 baseline's mAP is faster than it" in notes([baseline, worse])
    level = make("longer", 0.41, 3.99, speed_up=ratio(1.002))
    assert "nothing within 2 % of the fp32 baseline's mAP is faster than it" in notes([baseline, level])
    assert notes([baseline]) == []


def test_several_runtimes_are_named_and_sorted(three_runtimes):
    found = notes(three_runtimes)
    starts = [line.partition(": ")[0] for line in found]
    assert list(dict.fromkeys(starts)) == ["openvino", "onnxruntime", "eager"]
    assert starts == sorted(starts, key=["openvino", "onnxruntime", "eager"].index)
    fastest = [line for line in found if "fastest within" in line]
    speed = f"quant-int8, {1 / 0.76:.2f}x [{0.99 / 0.76:.2f}, {1.01 / 0.76:.2f}]"
    assert [line.partition("mAP: ")[2] for line in fastest] == [
        f"{speed}, {20 / (0.76 * 3):.2f}x against eager fp32",
        f"{speed}, {20 / (0.76 * 4):.2f}x against eager fp32",
        speed,
    ]
    assert not any(f"-{runtime}" in line for line in found for runtime in set(starts))


def test_chance_is_said_once_on_the_fastest_runtime_that_ran_the_gate(make):
    drawn = {"mean": 0.28, "low": 0.27, "high": 0.29}
    slow = make("early_exit-tol5-eager", 0.3, 20.0, share=(0.4, 0.6), random_exits=drawn, runtime="eager")
    fast = make("early_exit-tol5-openvino", 0.3, 3.0, share=(0.4, 0.6), random_exits=drawn)
    only = make("early_exit-tol1-eager", 0.3, 20.0, share=(0.4, 0.6), random_exits=drawn, runtime="eager")
    assert [line.partition(" mAP")[0] for line in notes([slow, fast, only])] == [
        "openvino: early_exit-tol5:",
        "eager: early_exit-tol1:",
    ]


def truth(**changes) -> dict:
    found = {"images": 600, "exits_differ": 0, "detections_differ": 0, "predicted_ms": 3.0, "within": True}
    return {"execution": found | changes}


def test_a_path_that_was_not_as_simulated_or_predicted_is_named(make):
    fine = make("early_exit-tol1", 0.3, 3.0, (0.4, 0.6), **truth())
    slow = make("early_exit-tol2", 0.3, 3.2, (0.4, 0.6), **truth(within=False))
    lies = make("early_exit-tol5", 0.3, 3.0, (0.4, 0.6), **truth(exits_differ=3, detections_differ=4))
    assert notes([fine]) == [
        "executed on all 600 test images, 1 of 1 gates left and answered exactly as simulated; "
        "1 took the predicted mean time"
    ]
    first, *named = notes([fine, slow, lies])
    assert "2 of 3 gates left and answered exactly as simulated; 1 took the predicted mean time" in first
    assert named == [
        "early_exit-tol2: 3.00 ms predicted, 3.20 [3.20, 3.20] measured",
        "early_exit-tol5: 3 images left elsewhere than simulated, 4 were answered otherwise: do not trust its accuracy",
    ]


def test_an_alarm_is_said_once_with_everybody_who_raises_it(make):
    records = [make(f"early_exit-tol{n}", 0.3, 3.0, (0.4, 0.6), alarms=["a", "b"][:n]) for n in (1, 2)]
    assert alarms(records) == ["ALARM a (early_exit-tol1, early_exit-tol2)", "ALARM b (early_exit-tol2)"]
    assert alarms([make("baseline", 0.4, 3.0)]) == []
