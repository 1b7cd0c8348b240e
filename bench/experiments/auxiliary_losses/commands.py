"""`bench ablate auxiliary-losses`: what makes a small YOLOS learn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FOLDER = Path("results/runs/auxiliary-losses")


def auxiliary_losses_command(
    recipes: Annotated[
        str | None, typer.Option(help='Comma-separated, such as "usual,and groups"; all if not.')
    ] = None,
    epochs: Annotated[int, typer.Option(help="Of every training.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of data, weights and order.")] = 0,
    threads: Annotated[int | None, typer.Option(help="Threads of training and measuring.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for results and checkpoints.")] = FOLDER,
) -> None:
    """Train a small YOLOS under different auxiliary losses: do middle layers detect without any?

    About five minutes a recipe on two cores.

    Examples:

      bench ablate auxiliary-losses

      bench ablate auxiliary-losses --recipes "exits alone,usual" --epochs 2 --out mine
    """
    from bench.experiments.auxiliary_losses.result import Settings
    from bench.experiments.auxiliary_losses.run import compare_into
    from bench.spec import default_threads

    settings = Settings(seed=seed, epochs=epochs, threads=threads or default_threads())
    wanted = [part.strip() for part in recipes.split(",") if part.strip()] if recipes else []
    compare_into(out, settings, wanted)
    typer.echo(f"results: {out}")
