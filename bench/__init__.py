"""Are early exits worth it in object detection? Measure it, and read what was measured.

    import bench
    run = bench.run(strategies=["early_exit", "quant"], data="coco:DIR", classes=["person"])
    run = bench.load_run("results/reference/coco-person")
    run.verdict, run.records, run.to_pandas(), run.pareto(), run.sweep(budget="3ms")

What a run finds by name can be added to before the first one: bench.STRATEGIES.add("mine", Mine), and so for RUNTIMES,
FAMILIES, CRITERIA and READERS. Nothing is loaded before it is asked for. To read how it works, start at pipeline.py.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.hidden import check_neighbours

if TYPE_CHECKING:
    from bench.api import Run, load_run, run
    from bench.data.registry import READERS
    from bench.exits.registry import CRITERIA
    from bench.runtimes.registry import RUNTIMES
    from models.errors import UserError
    from models.families import FAMILIES
    from strategies.registry import STRATEGIES

__all__ = ["CRITERIA", "FAMILIES", "READERS", "RUNTIMES", "STRATEGIES", "Run", "UserError", "load_run", "run"]
_HOMES = {
    "CRITERIA": "bench.exits.registry",
    "FAMILIES": "models.families",
    "READERS": "bench.data.registry",
    "RUNTIMES": "bench.runtimes.registry",
    "STRATEGIES": "strategies.registry",
    "Run": "bench.api",
    "UserError": "models.errors",
    "load_run": "bench.api",
    "run": "bench.api",
}

check_neighbours(Path(__file__).parent.parent)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
