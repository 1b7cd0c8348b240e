"""A made-up run with every strategy, for the views to show."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.records import Record
from bench.stats import interval

STORED = json.loads((Path(__file__).parents[2] / "support" / "record.json").read_text())
IMAGES = np.random.default_rng(1).normal(0, 0.008, 400)  # what the test images do to every detector alike


@pytest.fixture(scope="session")
def make():
    """make(name, map, ms, share=..., **changes): a record that agrees with itself; one share per exit."""

    def made(name: str, ap: float, ms: float, share: tuple[float, ...] = (1.0,), **changes) -> Record:
        rng = np.random.default_rng(sum(map(ord, name)))
        replicates = np.clip(ap + IMAGES + rng.normal(0, 0.003, len(IMAGES)), 0, 1)
        samples = ms * rng.gamma(60, 1 / 60, 50)
        samples *= ms / samples.mean()
        p50, p90, p99 = np.percentile(samples, [50, 90, 99])
        flops = [int(446e6 * (i + 1) / len(share)) for i in range(len(share))]
        exits = [
            {
                "exit": i,
                "map": ap * (i + 1) / len(share),
                "map50": 0.7 * (i + 1) / len(share),
                "flops": f,
                "latency_ms": ms,
                "temperature": 1.2,
            }
            for i, f in enumerate(flops)
        ]
        latency = {
            "mean": ms,
            "mean_interval": (ms, ms),
            "p50": p50,
            "p50_interval": (p50, p50),
            "p90": p90,
            "p90_interval": None,
            "p99": p99,
            "p99_interval": None,
            "warmup": 40,
            "steady": True,
            "samples": samples.tolist(),
            "images": list(range(50)),
        }
        own = {
            "name": name,
            "strategy": name.partition("-")[0],
            "operating_point": {
                **STORED["operating_point"],
                "name": name.partition("-")[2],
                "criterion": "max_score" if len(share) > 1 and max(share) < 1 else None,
                "thresholds": None,
            },
            "map": ap,
            "map50": min(1, 1.6 * ap),
            "map_bootstrap": replicates.tolist(),
            "map_interval": interval(replicates),
            "per_exit": exits,
            "flops_per_exit": flops,
            "flops_mean": float(np.dot(share, flops)),
            "exit_share": share,
            "latency_ms": latency,
        }
        return Record.model_validate({**STORED, **own, **changes})

    return made


@pytest.fixture(scope="session")
def run(make) -> list[Record]:
    """A baseline, three others and five early-exit points of two detectors, one of them int8."""
    return [
        make("baseline", 0.440, 3.05),
        make("early_exit-tol1", 0.432, 2.76, (0.21, 0.79)),
        make("early_exit-tol2", 0.421, 2.41, (0.43, 0.57)),
        make("early_exit-tol5", 0.398, 2.12, (0.66, 0.34)),
        make("early_exit+quant-tol2", 0.415, 1.62, (0.44, 0.56), precision="int8", size_mb=3.1),
        make("early_exit+quant-tol5", 0.391, 1.47, (0.67, 0.33), precision="int8", size_mb=3.1),
        make("prune-30", 0.405, 2.38, flops_mean=301e6, flops_per_exit=[301_000_000], size_mb=6.6),
        make("prune-50", 0.352, 1.94, flops_mean=222e6, flops_per_exit=[222_000_000], size_mb=4.7),
        make("quant", 0.431, 1.98, precision="int8", size_mb=2.9),
    ]


POINTS = {
    "baseline-tuned": (0.280, 1.0, {}),
    "baseline-loaded": (0.272, 1.01, {}),
    "early_exit-b8-12-tol1": (0.279, 1.33, {"variant": "b8-12", "share": (0.0, 0.1, 0.9)}),
    "early_exit-b8-12-tol5": (0.266, 1.26, {"variant": "b8-12", "share": (0.2, 0.1, 0.7)}),
    "early_exit-b8-12-full": (0.280, 1.34, {"variant": "b8-12", "share": (0.0, 0.0, 1.0)}),
    "prune-15pct": (0.186, 0.83, {"flops_mean": 300e6, "flops_per_exit": [300_000_000]}),
    "prune-30pct": (0.145, 0.72, {"flops_mean": 200e6, "flops_per_exit": [200_000_000]}),
    "quant-int8": (0.276, 0.76, {"precision": "int8"}),
    "resize-256": (0.230, 0.70, {}),
    "truncate-b8-12-exit1": (0.090, 0.66, {"variant": "b8-12", "share": (1.0, 0.0, 0.0)}),
    "truncate-b8-12-exit2": (0.187, 1.01, {"variant": "b8-12", "share": (0.0, 1.0, 0.0)}),
}


@pytest.fixture(scope="session")
def three_runtimes(make) -> list[Record]:
    """Eleven points, each on three runtimes, the slowest runtime first; speeds differ from row to row as they do on a
    machine, and intervals reach 1 % to both sides."""
    return [
        made_on(make, runtime, baseline, name, *point)
        for runtime, baseline in {"eager": 20.0, "onnxruntime": 4.0, "openvino": 3.0}.items()
        for name, point in POINTS.items()
    ]


def made_on(make, runtime: str, baseline: float, name: str, ap: float, times: float, changes: dict) -> Record:
    paired = {"value": 1 / times, "low": 0.99 / times, "high": 1.01 / times}
    gate = max(changes.get("share", (1.0,))) < 1
    point = {**STORED["operating_point"], "name": name.rpartition("-")[2], "thresholds": None}
    point |= {"criterion": "max_score" if gate else None}
    own = {"variant": name.partition("-")[2], "runtime": runtime, "speed_up": paired, "operating_point": point}
    return make(f"{name}-{runtime}", ap, times * baseline, **{**own, **changes})
