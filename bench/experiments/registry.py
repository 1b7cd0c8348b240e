"""Experiments by name, imported when one is asked for.

Ours are listed here; anyone else's join through the entry-point group `exitbench.experiments`. An experiment is a
function that typer makes a command of, `bench ablate NAME`.
"""

from __future__ import annotations

from collections.abc import Callable

from models.registry import Registry

EXPERIMENTS: Registry[Callable[..., None]] = Registry(
    "experiment",
    "exitbench.experiments",
    "bench ablate",
    {
        "phases": (
            "bench.experiments.phases.commands:phases_command",
            "nine failed rounds of training exits, replayed: which alarm would have told?",
        ),
        "positions": (
            "bench.experiments.positions.commands:positions_command",
            "a head after every block or layer: where does an exit pay?",
        ),
        "auxiliary-losses": (
            "bench.experiments.auxiliary_losses.commands:auxiliary_losses_command",
            "what makes a small YOLOS learn?",
        ),
        "probe": (
            "bench.experiments.probe.commands:probe_command",
            "can inner layers detect at all? Asked before any long training",
        ),
    },
)
