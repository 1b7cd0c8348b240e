"""The training recipes as a table, and the files of the experiment."""

from __future__ import annotations

from pathlib import Path

from bench.experiments.auxiliary_losses.figure import auxiliary_losses_figure
from bench.experiments.auxiliary_losses.result import RecipeComparison, RecipeResult
from bench.files import replacing
from bench.report.formats import markdown
from bench.report.page import Page, simple_table
from bench.report.style import save


def headers(found: RecipeComparison) -> tuple[str, ...]:
    """The table's headers: the recipe, the layers that are read, the time of a step."""
    return ("lessons", *(f"layer {layer}" for layer in found.after), "step")


def cells(recipe: RecipeResult) -> list[str]:
    """One recipe under `headers`."""
    values = [f"{own:.3f} ({shared:.3f})" for own, shared in zip(recipe.own, recipe.shared, strict=True)]
    return [recipe.name, *values, f"{recipe.step:.2f}x"]


def notes(found: RecipeComparison) -> list[str]:
    """What the table is made of."""
    ours = found.settings
    return [
        "AP50 after each layer by a head trained for it on the frozen trunk (by the last layer's head, which learned "
        "with the network and has no such training)",
        f"{ours.images[1]} val images of {ours.pixels} px, split {found.split[:12]}, seed {ours.seed}",
        f"every recipe: {ours.epochs} epochs of {ours.images[0]} images from scratch, "
        f"rate {ours.learning_rate:g}, then {ours.head_epochs} of the heads",
        "step: time of a training step beside the usual recipe's",
        *(
            f"{one.name}: " + ", ".join(f"{key} {value}" for key, value in one.auxiliary_losses.items())
            for one in found.recipes
        ),
    ]


def page(found: RecipeComparison) -> Page:
    """The table with its notes."""
    return Page([simple_table(headers(found), [cells(one) for one in found.recipes], notes=notes(found))])


def write_report(found: RecipeComparison, folder: Path) -> None:
    """Write FOLDER/lessons.md and FOLDER/lessons.png, each whole or not at all."""
    with replacing(folder / "lessons.md") as partial:
        partial.write_text(markdown(page(found)), encoding="utf-8")
    save(auxiliary_losses_figure(found), folder / "lessons.png")
