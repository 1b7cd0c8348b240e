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

TOML = """
name = "tiny"
strategies = ["prune"]
controls = []
runtimes = ["eager"]
threads = 1
foundation = 0.0
[data]
sizes = [16, 4, 6]
[model]
size = 64
[measure]
images = 3
repeats = 1
warmup = 1
resamples = 100
[strategy.baseline]
epochs = 1
rate = 1e-3
[strategy.prune]
epochs = 1
rate = 1e-3
ratios = [0.5]
"""


def tiny(**changes) -> RunSpec:
    return read("smoke", None, TINY | changes)
