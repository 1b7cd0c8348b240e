"""Are early exits worth it in object detection? Measure it, and read what was measured:

    import bench
    run = bench.run(strategies=["early_exit", "quant"], data="coco:DIR", classes=["person"])
    run = bench.load_run("results/reference/coco-person")
    run.verdict, run.records, run.to_pandas(), run.pareto(), run.sweep(budget="3ms")

Nothing is loaded before it is asked for. To read how it works, start at pipeline.py."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.hidden import check_neighbours

if TYPE_CHECKING:
    from bench.api import Run, load_run, run
    from models.errors import UserError

__all__ = ["Run", "UserError", "load_run", "run"]
_HOMES = {"Run": "bench.api", "UserError": "models.errors", "load_run": "bench.api", "run": "bench.api"}

check_neighbours(Path(__file__).parent.parent)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
