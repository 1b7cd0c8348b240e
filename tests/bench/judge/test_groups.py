"""Records of several runtimes sorted into groups: by runtime, against eager PyTorch, and by multi-exit detector."""

import numpy as np
import pytest

from bench.judge.groups import by_runtime, multi_exit, over_eager, short_name
from tests.support.made import STORED, made

STATIC = {"name": "full", "criterion": None, "thresholds": None, "chosen_on": None, "note": ""}
ONE_EXIT = {
    "operating_point": STATIC,
    "per_exit": [{**STORED["per_exit"][-1], "exit": 0}],
    "flops_per_exit": STORED["flops_per_exit"][-1:],
    "flops_mean": STORED["flops_per_exit"][-1],
    "exit_share": [1.0],
}


def record(name: str, ms: float = 2.0, runtime: str = "eager", **changes):
    return made(f"{name}-{runtime}", 0.4, np.full(10, 0.4), [ms, ms], runtime=runtime, **changes)


def static(exit: int) -> dict:
    """Of two exits, one answers every image."""
    both = {key: STORED[key] for key in ("per_exit", "flops_per_exit")}
    share = [float(exit == 0), float(exit == 1)]
    return {**both, "operating_point": STATIC, "exit_share": share, "flops_mean": STORED["flops_per_exit"][exit]}


def test_the_fastest_runtime_comes_first_and_its_records_keep_their_order():
    slow = [record("a", 9.0), record("b", 5.0)]
    fast = [record("a", 6.0, "openvino"), record("b", 1.0, "openvino")]
    found = by_runtime([slow[0], fast[0], slow[1], fast[1]])
    assert list(found.items()) == [("openvino", fast), ("eager", slow)]


def test_a_short_name_has_lost_its_own_runtime_alone():
    assert short_name(record("quant", runtime="openvino")) == "quant"
    other = record("quant", runtime="openvino").model_copy(update={"runtime": "eager"})
    assert short_name(other) == "quant-openvino"


def test_over_eager_is_the_eager_baseline_s_time_over_the_record_s():
    eager = record("baseline", 12.0, variant="trained", precision="fp32", **ONE_EXIT)
    fast = record("prune", 3.0, "openvino", precision="fp32", **ONE_EXIT)
    assert over_eager(fast, [eager, fast]) == pytest.approx(4.0)
    assert over_eager(eager, [eager, fast]) == pytest.approx(1.0)
    assert over_eager(eager, [eager]) is None, "one runtime: the speed-up says it all"
    assert over_eager(fast, [fast]) is None, "no eager baseline"


def test_a_multi_exit_detector_has_its_gates_and_its_last_exit():
    gate = record("early_exit", variant="b8-12")
    full = record("early_exit", variant="b8-12", **static(1))
    other = record("early_exit", variant="b6")
    inner = record("truncate", variant="b8-12", **static(0))  # as a run calls it
    plain = record("prune", variant="30pct", precision="fp32", **ONE_EXIT)
    found = multi_exit([gate, inner, other, plain, full])
    assert found == {"early_exit-b8-12": [gate, full], "early_exit-b6": [other]}
