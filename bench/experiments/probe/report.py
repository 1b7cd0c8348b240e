"""A probe as a table, in the terminal and in markdown, and the rule in words."""

from __future__ import annotations

from pathlib import Path

from bench.experiments.probe.result import Position, Probe
from bench.files import replacing
from bench.report.formats import markdown
from bench.report.page import Page, lines, simple_table

HEADERS = (
    "after",
    "map",
    "entropy",
    "inside",
    "area",
    "lift [95 %]",
    "blind",
    "AUC [95 %]",
    "place",
    "mAP",
    "AP50 [95 %]",
)


def rows(found: Probe) -> list[list[str]]:
    """Every position under HEADERS, those of the untrained trunk at the end."""
    trained = [cells(one, f"{found.unit} {one.after}") for one in found.positions]
    return trained + [cells(one, f"untrained {one.after}") for one in found.control]


def cells(one: Position, name: str) -> list[str]:
    """One position under HEADERS, by the name it is to have."""
    focus, apart, linear = one.focus, one.separation, one.linear
    return [
        name,
        f"{one.side}x{one.side}x{one.channels}",
        f"{focus.entropy:.3f}",
        f"{focus.inside:.3f}",
        f"{focus.area:.3f}",
        f"{focus.lift:.2f} [{focus.lift_interval[0]:.2f}, {focus.lift_interval[1]:.2f}]",
        f"{focus.blind:.2f}",
        "-" if apart is None else f"{apart.auc:.3f} [{apart.interval[0]:.3f}, {apart.interval[1]:.3f}]",
        "-" if apart is None else f"{apart.place:.3f}",
        f"{linear.map:.3f}",
        f"{linear.map50:.3f} [{linear.map50_interval[0]:.3f}, {linear.map50_interval[1]:.3f}]",
    ]


def notes(found: Probe) -> list[str]:
    """What the columns are, and what the numbers are from."""
    trained = found.settings
    looked = {"layer": "of the queries to patches", "block": "the energy of the map"}[found.unit]
    return [
        f"{found.model} ({found.source}), {found.size} px, {found.data}: {', '.join(found.classes[:8])}"
        + (f" and {len(found.classes) - 8} more" if len(found.classes) > 8 else ""),
        f"attention ({looked}) on {found.images} val images; inside: its share in object boxes; lift: inside / area; "
        "blind: the lift of the other images' mean attention",
        "AUC: object tokens against background, linear discriminant, five folds by image; place: from where they are",
        f"linear probe: {found.train_images} training images, {trained.epochs} epochs over "
        f"{trained.augmentations} views at {trained.learning_rate:g}; mAP and AP50 on {found.val_images} val images, "
        f"split {found.splits['val'][:12]}, seed {found.seed}",
    ]


def page(found: Probe) -> Page:
    """The rule in words, and the table."""
    table = simple_table(HEADERS, rows(found), notes=notes(found))
    return Page([lines(found.sentences, "bold", listed=False), table])


def write_markdown(found: Probe, folder: Path) -> None:
    """Write FOLDER/probe.md, whole or not at all."""
    with replacing(folder / "probe.md") as partial:
        partial.write_text(markdown(page(found)), encoding="utf-8")
