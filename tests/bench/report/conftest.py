"""A made-up run with every strategy, for the views to show."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.records import Record
from bench.stats import interval

STORED = json.loads((Path(__file__).parent / "record.json").read_text())
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
            "p50": p50,
            "p90": p90,
            "p99": p99,
            "samples": samples.tolist(),
            "images": list(range(50)),
        }
        own = {
            "name": name,
            "strategy": name.partition("-")[0],
            "operating_point": {
                **STORED["operating_point"],
                "name": name.partition("-")[2],
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
