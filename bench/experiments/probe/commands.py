"""`bench probe`: can inner layers detect at all? Answered before any long training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from models.errors import UserError

RUNS = Path("results/runs")


def probe_command(
    model: Annotated[str | None, typer.Option(help="ssdlite, yolos, yolos-tiny, yolos-small or yolos-base.")] = None,
    weights: Annotated[str | None, typer.Option(help="What the model starts from (docs/specs.md).")] = None,
    trained: Annotated[Path | None, typer.Option(help="A run's folder: its baseline, on its data.")] = None,
    data: Annotated[str | None, typer.Option(help="shapes, a folder, or a TOML file (docs/data.md).")] = None,
    classes: Annotated[str | None, typer.Option(help="Comma-separated class names; all when left out.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the input, px; 320, or 160 for shapes.")] = None,
    after: Annotated[str | None, typer.Option(help="Comma-separated layers (yolos) or blocks (ssdlite).")] = None,
    images: Annotated[int, typer.Option(min=5, help="Val images that attention and tokens are of.")] = 200,
    train: Annotated[int, typer.Option(min=1, help="Training images of the linear probe, at most.")] = 2000,
    epochs: Annotated[int, typer.Option(min=1, help="Of the linear probe.")] = 8,
    augmentations: Annotated[
        int, typer.Option("--augmentations", "--views", min=1, help="Of each training image, kept in memory.")
    ] = 2,
    control: Annotated[bool, typer.Option(help="Probe an untrained trunk of the same shape as well.")] = True,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of data, probe and bootstrap.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of everything.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for results; results/runs/probe-MODEL.")] = None,
) -> None:
    """Say whether inner layers can detect: attention, tokens and a linear probe after each, and a rule.

    Examples:

      bench probe --weights FILE.pth --data coco:DIR --classes person

      bench probe --model yolos-small --weights hustvl/yolos-small --data coco:DIR --classes person --after 3,6,9,12

      bench probe --trained results/runs/yolos
    """
    from bench.experiments.probe.result import Settings
    from bench.experiments.probe.run import probe_into
    from bench.experiments.probe.target import from_run, from_weights
    from bench.experiments.probe.tokens import check
    from bench.spec import default_threads

    places = numbers(after)
    check()
    if trained is None:
        chosen = tuple(part.strip() for part in classes.split(",") if part.strip()) if classes else None
        target = from_weights(model or "ssdlite", weights, data or "shapes", chosen, size, seed or 0)
    else:
        given = {"model": model, "weights": weights, "data": data, "classes": classes, "size": size, "seed": seed}
        for name, value in given.items():
            if value is not None:
                raise UserError("the run says it", where=f"--{name}", fix="leave it out beside --trained")
        target = from_run(trained)
    settings = Settings(images=images, train=train, epochs=epochs, augmentations=augmentations, control=control)
    folder = out or RUNS / f"probe-{target.model}"
    probe_into(target, places, settings, folder, threads=threads or default_threads())
    typer.echo(f"\nresults: {folder}/probe.md, attention.png, tokens.png, linear.png, probe.json")


def numbers(text: str | None) -> list[int] | None:
    """A comma-separated option as whole numbers.

    Args:
        text: such as "3,6,9", or None when it was not given.

    Returns:
        The numbers, or None.

    Raises:
        UserError: something in it is no whole number.
    """
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"{text!r} is no list of whole numbers", where="--after", fix="write 3,6,9,12") from error
