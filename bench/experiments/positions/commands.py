"""`bench ablate positions`: where in a trunk an exit pays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def positions_command(
    run: Annotated[Path, typer.Argument(help="Folder of a run, whose baseline and data are used.")],
    epochs: Annotated[int, typer.Option(min=1, help="Of the heads, on the frozen trunk.")] = 8,
    width: Annotated[int | None, typer.Option(min=4, help="Channels of every head of SSDLite's; 128 if not.")] = None,
) -> None:
    """Train a head after every block or layer for a few epochs: where does an exit pay, would a smaller input pay more?

    Everything is measured on the run's val split.

    Examples:

      bench ablate positions results/runs/default

      bench ablate positions results/runs/mine --epochs 4 --width 64
    """
    from bench.experiments.positions.run import scan_into

    scan_into(run, {"epochs": epochs, "width": width})
    typer.echo(f"results: {run / 'positions.md'}, {run / 'positions.png'}")
