"""What lessons teach as a table, in the terminal and in markdown, and as a picture."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console

from bench.experiments.auxiliary_losses.result import Schooling, Taught
from bench.files import replacing
from bench.report.plot import COLOURS, GREY, INK
from bench.report.simple import markdown_table, plain, print_table


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


def markdown(found: Schooling) -> str:
    return markdown_table(headers(found), [cells(one) for one in found.taught], notes(found))


def print_report(found: Schooling, console: Console) -> None:
    print_table(console, headers(found), [cells(one) for one in found.taught], notes(found))


def write_report(found: Schooling, folder: Path) -> None:
    """FOLDER/lessons.md and FOLDER/lessons.png, each whole or not at all."""
    with replacing(folder / "lessons.md") as partial:
        partial.write_text(markdown(found))
    with replacing(folder / "lessons.png") as partial:
        _draw(found).savefig(partial, format="png")


def _draw(found: Schooling) -> Figure:
    figure = Figure(figsize=(10, 6), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.08, 0.11, 0.64, 0.76))
    plain(axes)
    for one, colour in zip(found.taught, COLOURS, strict=False):
        axes.plot(found.after, one.own, marker="o", linewidth=2, color=colour, label=one.name)
        axes.plot(found.after, one.shared, marker="o", linewidth=1, linestyle=":", markersize=4, color=colour)
    axes.set_xticks(found.after)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("layer", fontsize=13, color=GREY)
    axes.set_ylabel(f"AP50 on {found.settings.images[1]} val images", fontsize=13, color=GREY)
    axes.legend(frameon=False, fontsize=12, loc="upper left", bbox_to_anchor=(1.02, 1))
    figure.text(0.08, 0.94, "What a YOLOS learns from what it is asked", fontsize=16, color=INK)
    figure.text(0.08, 0.895, "line: a head of the layer's own; dots: the last layer's head", fontsize=12, color=GREY)
    return figure
