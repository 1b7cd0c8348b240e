"""All registries: what `bench ls` lists, and what is frozen when a run begins.

They lie in the rooms whose things they name (`registry.py`; `families.py` for models), and are found by text, since
some of these rooms stand above the run.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from models.registry import Registry

WHERE = (
    "strategies.registry:STRATEGIES",
    "models.families:FAMILIES",
    "bench.runtimes.registry:RUNTIMES",
    "bench.data.registry:READERS",
    "bench.exits.registry:CRITERIA",
    "bench.experiments.registry:EXPERIMENTS",
)


def registries() -> list[Registry[Any]]:
    """Find every registry; none of its things is imported.

    Returns:
        The registries, in the order of `bench ls`.
    """
    return [getattr(import_module(module), name) for module, name in (one.split(":") for one in WHERE)]


def freeze() -> None:
    """Let nothing join any of them from now on: a run has begun, and names have to keep their meaning."""
    for registry in registries():
        registry.freeze()
