"""`bench ablate phases`: the rounds that failed, replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FOLDER = Path("results/runs/phases")


def phases_command(
    recipes: Annotated[str | None, typer.Option(help="Comma-separated, such as 1.1,sound; all when left out.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of data, weights and order.")] = 0,
    threads: Annotated[int | None, typer.Option(help="Threads of training and measuring.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for results and checkpoints.")] = FOLDER,
) -> None:
    """Replay nine failed rounds of training early exits, and see which alarm would have told.

    Exit status 1 when a broken recipe is not caught, or a sound one is.

    Examples:

      bench ablate phases

      bench ablate phases --recipes 1.4,sound --out phases
    """
    from bench.experiments.phases.result import Settings
    from bench.experiments.phases.run import replay_into
    from bench.spec import default_threads

    settings = Settings(seed=seed, threads=threads or default_threads())
    wanted = [part.strip() for part in recipes.split(",") if part.strip()] if recipes else []
    if not replay_into(out, settings, wanted):
        raise typer.Exit(1)
    typer.echo(f"results: {out}")
