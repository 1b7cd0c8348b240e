"""What is said of calibration: every exit of every detector once, and what fitted temperatures changed, beyond the
intervals or not."""

import numpy as np
import pytest

from bench.records import Record
from bench.report.calibration import calibration_errors, moved, with_temperatures
from bench.report.notes import notes

DRAWS = np.random.default_rng(0).normal(0, 0.01, 400)  # what the test images do to both alike
STEADY = {"value": 1.0, "low": 0.99, "high": 1.01}


@pytest.fixture(scope="session")
def point(make):
    """point(variant, name, map, ms, errors=..., **changes): an operating point whose exits have these calibration
    errors. Its mAP on the draws is as much off as that of all others, its time the same on every image."""

    def made(variant: str, name: str, ap: float, ms: float, errors=(0.2, 0.1), **changes) -> Record:
        one = make(f"early_exit-{variant}-{name}", ap, ms, (0.5, 0.5))
        temperature = 1.0 if "untempered" in variant else 1.25
        exits = [
            exit.model_dump() | {"calibration_error": error, "temperature": temperature}
            for exit, error in zip(one.per_exit, errors, strict=True)
        ]
        time = one.latency_ms.model_dump() | {"samples": [ms] * 50, "p50": ms, "p90": ms, "p99": ms}
        own = {
            "variant": variant,
            "per_exit": exits,
            "operating_point": one.operating_point.model_dump() | {"name": name},
            "map_bootstrap": (ap + DRAWS).tolist(),
            "latency_ms": time | {"p50_interval": (ms, ms)},
            "noise": STEADY,
        }
        return Record.model_validate(one.model_dump() | own | changes)

    return made


def test_every_exit_of_a_detector_is_told_once(point, make):
    records = [
        make("baseline", 0.4, 3.0),
        *(point("b8", name, 0.4, 2.0) for name in ("tol1", "tol5")),
        point("b12", "tol1", 0.4, 2.0, errors=(None, 0.05)),
        point("b10", "tol1", 0.4, 2.0, errors=(None, None)),
    ]
    assert calibration_errors(records) == [
        "early_exit-b8: calibration error (D-ECE) 0.200, 0.100 at temperatures 1.25, 1.25, exit by exit",
        "early_exit-b12: calibration error (D-ECE) -, 0.050 at temperatures 1.25, 1.25, exit by exit",
    ]


def test_runtimes_agree_and_the_fastest_speaks(point):
    slow = point("b8", "tol1", 0.4, 20.0, errors=(0.3, 0.3), runtime="eager")
    said = [line for line in notes([slow, point("b8", "tol1", 0.4, 2.0)]) if "D-ECE" in line]
    assert len(said) == 1
    assert said[0].startswith("openvino: early_exit-b8: calibration error (D-ECE) 0.200, 0.100 at")


def test_before_and_after_gate_by_gate(point):
    before = [point("b8-untempered", name, 0.4, 2.0) for name in ("tol1", "tol5", "risk2")]
    after = [
        point("b8", "tol1", 0.41, 1.8, errors=(0.05, 0.02)),
        point("b8", "tol5", 0.4, 2.0, errors=(0.05, 0.02)),
        point("b8", "risk2", 0.3, 9.0, errors=(0.05, 0.02)),
    ]
    lines = with_temperatures([*after, *before])
    assert lines == [
        "early_exit-b8, temperatures 1 -> fitted: calibration error 0.200 -> 0.050, 0.100 -> 0.020, exit by exit",
        "early_exit-b8-tol1, temperatures 1 -> fitted: mAP 0.400 -> 0.410, +0.010 [0.010, 0.010]; 2.00 -> 1.80 ms, "
        "0.90 times as long [0.90, 0.90]: moved: more accurate and faster",
        "early_exit-b8-tol5, temperatures 1 -> fitted: mAP 0.400 -> 0.400, 0.000 [0.000, 0.000]; 2.00 -> 2.00 ms, "
        "1.00 times as long [1.00, 1.00]: not moved beyond the intervals",
    ]
    assert set(lines) <= set(notes([*after, *before]))
    for alone in (before, after):
        assert with_temperatures(alone) == []


def test_a_composition_keeps_its_other_suffixes(point):
    pair = [point(f"b8{suffix}-int8", "tol1", 0.4, 2.0, precision="int8") for suffix in ("-untempered", "")]
    assert [line.partition(",")[0] for line in with_temperatures(pair)] == [
        "early_exit-b8-int8",
        "early_exit-b8-int8-tol1",
    ]
    assert with_temperatures([pair[0], point("b8", "tol1", 0.4, 2.0)]) == [], "nothing of the same precision"


def test_calibration_that_nobody_measured_is_not_compared(point):
    pair = [point(variant, "tol1", 0.4, 2.0, errors=(None, None)) for variant in ("b8-untempered", "b8")]
    (line,) = with_temperatures(pair)
    assert "calibration" not in line


def test_a_machine_as_noisy_as_the_gain_has_shown_nothing(point):
    before = point("b8-untempered", "tol1", 0.4, 2.0)
    for value, expected in ((1.0, "moved: faster"), (1.08, "not moved"), (1 / 1.08, "not moved")):
        noise = {"value": value, "low": 0.9, "high": 1.1}
        *_, line = with_temperatures([before, point("b8", "tol1", 0.4, 1.9, noise=noise)])
        assert expected in line


def test_accuracy_within_the_noise_of_the_images_has_not_moved(point):
    wide = (0.41 - DRAWS).tolist()
    pair = point("b8-untempered", "tol1", 0.4, 2.0), point("b8", "tol1", 0.41, 2.0, map_bootstrap=wide)
    assert with_temperatures(pair)[-1].endswith("not moved beyond the intervals")


@pytest.mark.parametrize(
    ("gain", "longer", "said"),
    [
        ((-0.01, 0.01), (0.9, 1.1), "not moved beyond the intervals"),
        ((0.001, 0.01), (0.9, 1.1), "moved: more accurate"),
        ((-0.01, -0.001), (0.9, 1.1), "moved: less accurate"),
        ((-0.01, 0.01), (0.8, 0.9), "moved: faster"),
        ((-0.01, -0.001), (1.1, 1.2), "moved: less accurate and slower"),
        ((0.001, 0.01), (1.1, 1.2), "traded: more accurate and slower"),
        ((-0.01, -0.001), (0.8, 0.9), "traded: faster and less accurate"),
        ((0.0, 0.01), (1.0, 1.1), "not moved beyond the intervals"),
    ],
)
def test_moved_means_beyond_the_intervals(gain, longer, said):
    assert moved(gain, longer) == said
