"""`bench ablate ...`: experiments about early exits themselves, each one command that ends in a table and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.experiments import LESSONS, PHASES

app = typer.Typer(no_args_is_help=True, help="Experiments about early exits themselves: phases, positions, lessons.")


@app.command("phases")
def phases_command(
    recipes: Annotated[str | None, typer.Option(help="Comma-separated, such as 1.1,sound; all when left out.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of data, weights and order.")] = 0,
    threads: Annotated[int | None, typer.Option(help="Threads of training and measuring.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for results and checkpoints.")] = PHASES,
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


@app.command("positions")
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


@app.command("lessons")
def lessons_command(
    recipes: Annotated[
        str | None, typer.Option(help='Comma-separated, such as "usual,and groups"; all if not.')
    ] = None,
    epochs: Annotated[int, typer.Option(help="Of every training.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of data, weights and order.")] = 0,
    threads: Annotated[int | None, typer.Option(help="Threads of training and measuring.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for results and checkpoints.")] = LESSONS,
) -> None:
    """Train a small YOLOS under different lessons: what makes it learn, and do middle layers detect unasked?

    About five minutes a recipe on two cores.

    Examples:

      bench ablate lessons

      bench ablate lessons --recipes "exits alone,usual" --epochs 2 --out lessons
    """
    from bench.experiments.auxiliary_losses.result import Settings
    from bench.experiments.auxiliary_losses.run import teach_into
    from bench.spec import default_threads

    settings = Settings(seed=seed, epochs=epochs, threads=threads or default_threads())
    wanted = [part.strip() for part in recipes.split(",") if part.strip()] if recipes else []
    teach_into(out, settings, wanted)
    typer.echo(f"results: {out}")
