"""Things that other packages bring: as if one was installed, for one test."""

from importlib.metadata import EntryPoint

import models.registry
from models.registry import Registry


def plug(monkeypatch, registry: Registry, **targets: str) -> None:
    """A package with an entry point for each name -> "module:attribute" is installed until the test ends."""
    points = [EntryPoint(name, target, registry.group) for name, target in targets.items()]

    def entry_points(group: str) -> list[EntryPoint]:
        return points if group == registry.group else []

    monkeypatch.setattr(models.registry, "entry_points", entry_points)
    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.setitem(vars(registry), "_entries", type(registry)._entries.func(registry))


def bring(monkeypatch, registry: Registry, **things: object) -> None:
    """These are in the registry until the test ends, whether or not a run has frozen it."""
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    monkeypatch.setitem(vars(registry), "_entries", dict(registry._entries))
    monkeypatch.setattr(registry, "_frozen", False)
    for name, thing in things.items():
        registry.add(name, thing)
