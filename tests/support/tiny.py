"""The main job at the smallest size: a few seconds, and every kind of operating point."""

from bench.spec import RunSpec, read

TINY = {
    "strategies": ["early_exit", "prune"],
    "runtimes": ["eager"],
    "threads": 1,
    "data.sizes": [24, 8, 12],
    "model.size": 64,
    "strategy.baseline.epochs": 1,
    "strategy.early_exit.widths": [16, 24],
    "measure.images": 6,
    "measure.repeats": 2,
    "measure.warmup": 1,
    "measure.gate_images": 12,
    "measure.resamples": 100,
    "measure.budgets": ["1000MFLOPs", "0.001MFLOPs"],
    "measure.risks": [0.9],
}


def tiny(**changes) -> RunSpec:
    return read("smoke", None, TINY | changes)
