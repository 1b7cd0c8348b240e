"""A scan of exit positions as a table, and the files of the experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.experiments.positions.figure import positions_figure
from bench.experiments.positions.result import Place, Positions, exits_of
from bench.files import replacing
from bench.report.formats import markdown
from bench.report.page import Page, simple_table
from bench.report.style import save

HEADERS = ("what", "mAP [95 %]", "AP50", "MFLOPs", "ms", "share of the time [95 %]")


def frontier(places: Sequence[Place]) -> list[Place]:
    """The places that no other beats in mAP and time together."""
    return [one for one in places if not any(beats(other, one) for other in places)]


def beats(one: Place, other: Place) -> bool:
    """Whether `one` is at least as accurate and as fast, and better in one of them."""
    return one.map >= other.map and one.time <= other.time and (one.map, one.time) != (other.map, other.time)


def cells(place: Place) -> list[str]:
    """One place under HEADERS."""
    return [
        place.name,
        f"{place.map:.3f} [{place.interval[0]:.3f}, {place.interval[1]:.3f}]",
        f"{place.map50:.3f}",
        f"{place.flops / 1e6:.0f}",
        f"{place.ms:.2f}",
        f"{place.time:.2f} [{place.time_interval[0]:.2f}, {place.time_interval[1]:.2f}]",
    ]


def notes(found: Positions) -> list[str]:
    """What the table is made of, and what is on its frontier."""
    exits = exits_of(found)
    trained = ", ".join(f"{name} {value}" for name, value in found.settings.items())
    return [
        f"{found.val_images} val images, split {found.split[:12]}, seed {found.seed}, runtime {found.runtime}",
        f"heads at all positions trained together on the frozen trunk: {trained}",
        "smaller inputs: the whole network as it is, trained for none of them",
        "among the exits, nothing is both faster and more accurate than "
        + ", ".join(place.name for place in frontier(exits)),
        "with smaller inputs beside them, than " + ", ".join(place.name for place in frontier(found.places)),
    ]


def page(found: Positions) -> Page:
    """The table with its notes."""
    return Page([simple_table(HEADERS, [cells(place) for place in found.places], notes=notes(found))])


def write_report(found: Positions, folder: Path) -> None:
    """Write FOLDER/positions.md and FOLDER/positions.png, each whole or not at all."""
    with replacing(folder / "positions.md") as partial:
        partial.write_text(markdown(page(found)), encoding="utf-8")
    save(positions_figure(found), folder / "positions.png")
