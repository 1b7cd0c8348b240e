"""What lessons teach as a table, and the files of the experiment."""

from __future__ import annotations

from pathlib import Path

from bench.experiments.auxiliary_losses.figure import auxiliary_losses_figure
from bench.experiments.auxiliary_losses.result import Schooling, Taught
from bench.files import replacing
from bench.report.formats import markdown
from bench.report.page import Page, simple_table
from bench.report.style import save


def headers(found: Schooling) -> tuple[str, ...]:
    return ("lessons", *(f"layer {layer}" for layer in found.after), "step")


def cells(taught: Taught) -> list[str]:
    """One recipe under `headers`."""
    values = [f"{own:.3f} ({shared:.3f})" for own, shared in zip(taught.own, taught.shared, strict=True)]
    return [taught.name, *values, f"{taught.step:.2f}x"]


def notes(found: Schooling) -> list[str]:
    """What the table is made of."""
    ours = found.settings
    return [
        "AP50 after each layer by a head trained for it on the frozen trunk (by the last layer's head, which learned "
        "with the network and has no such training)",
        f"{ours.images[1]} val images of {ours.pixels} px, split {found.split[:12]}, seed {ours.seed}",
        f"every recipe: {ours.epochs} epochs of {ours.images[0]} images from scratch, rate {ours.rate:g}, then "
        f"{ours.head_epochs} of the heads",
        "step: time of a training step beside the usual recipe's",
        *(
            f"{one.name}: " + ", ".join(f"{key} {value}" for key, value in one.auxiliary_losses.items())
            for one in found.taught
        ),
    ]


def page(found: Schooling) -> Page:
    return Page([simple_table(headers(found), [cells(one) for one in found.taught], notes=notes(found))])


def write_report(found: Schooling, folder: Path) -> None:
    """FOLDER/lessons.md and FOLDER/lessons.png, each whole or not at all."""
    with replacing(folder / "lessons.md") as partial:
        partial.write_text(markdown(page(found)))
    save(auxiliary_losses_figure(found), folder / "lessons.png")
