"""A scan of exit positions as a table, in the terminal and in markdown, and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.experiments.positions.result import Place, Positions
from bench.files import replacing
from bench.report.formats import markdown
from bench.report.page import Page, simple_table
from bench.report.style import COLOURS, GREY, INK, plain, save

HEADERS = ("what", "mAP [95 %]", "AP50", "MFLOPs", "ms", "share of the time [95 %]")


def frontier(places: Sequence[Place]) -> list[Place]:
    """Those that nothing else beats in both mAP and time."""
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


def exits_of(found: Positions) -> list[Place]:
    """Where the network ends after a block or layer."""
    return [place for place in found.places if place.name != "whole" and not place.name.endswith(" px")]


def unit_of(exits: Sequence[Place]) -> str:
    """What they are called: "block", "layer"."""
    return exits[0].name.split()[0]


def page(found: Positions) -> Page:
    return Page([simple_table(HEADERS, [cells(place) for place in found.places], notes=notes(found))])


def write_report(found: Positions, folder: Path) -> None:
    """FOLDER/positions.md and FOLDER/positions.png, each whole or not at all."""
    with replacing(folder / "positions.md") as partial:
        partial.write_text(markdown(page(found)))
    save(_draw(found), folder / "positions.png")


def _draw(found: Positions) -> Figure:
    figure = Figure(figsize=(10, 6.5), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.09, 0.11, 0.88, 0.76))
    plain(axes)
    (whole,) = [place for place in found.places if place.name == "whole"]
    exits = exits_of(found)
    unit = unit_of(exits)
    groups = {
        f"network ends after a {unit}, with an exit head": exits,
        "whole network, smaller input": [*(p for p in found.places if p.name.endswith("px")), whole],
    }
    looks = zip(COLOURS[1:], "oD", ((8, -14), (-44, 12)), strict=False)
    for (label, places), (colour, marker, off) in zip(groups.items(), looks, strict=False):
        x, y = [place.time for place in places], [place.map for place in places]
        errors = [[v - p.interval[0] for v, p in zip(y, places, strict=True)]]
        errors += [[p.interval[1] - v for v, p in zip(y, places, strict=True)]]
        axes.errorbar(x, y, errors, color=colour, alpha=0.35, linewidth=1, fmt="none")
        axes.plot(x, y, marker=marker, markersize=8, linewidth=1.5, color=colour, label=label)
        for place in places:
            name = place.name.removeprefix(f"{unit} ")
            axes.annotate(name, (place.time, place.map), off, textcoords="offset points", color=colour)
    axes.set_xlabel(f"share of the whole network's time ({found.runtime}, batch 1)", fontsize=13, color=GREY)
    axes.set_ylabel(f"mAP on {found.val_images} val images", fontsize=13, color=GREY)
    axes.legend(frameon=False, fontsize=12, loc="lower right")
    figure.text(0.09, 0.94, f"Where to leave: after which {unit}, or at which resolution?", fontsize=16, color=INK)
    return figure
