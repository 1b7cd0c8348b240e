"""Exit profiles as a picture: gate by gate, of each kind of image, how many every exit answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from bench.judge.groups import short_name
from bench.records import ExitProfile, Record
from bench.report.exit_profile import EXPLAINED, by_factor, gates
from bench.report.style import COLOURS, DASHES, GREY, INK, bright

MOST_GATES = 4  # side by side in the picture, those through which most images leave; the table has all
WIDTH, TOP, BOTTOM, LEFT, RIGHT, BETWEEN = 1600, 130, 90, 330, 30, 30  # px
BAR, HEADLINE, GAP = 26, 30, 16  # px of height, of a bar, of what stands above a panel, and below it
Side = Literal["left", "center", "right"]
SIDES: tuple[Side, ...] = ("left", "center", "right")  # of the ticks' labels, so that columns keep apart
LONGEST = 25  # characters of a group's name
STAYED = "#D5D5D5"  # who does not leave early


def exit_profile_figure(records: Sequence[Record]) -> Figure | None:
    """Draw a column per gate, a panel per factor, a bar per kind of image.

    Args:
        records: of one run, or of several that share their test split.

    Returns:
        A figure 1600 px wide; None when there is no gate through which any image leaves early.

    Raises:
        UserError: the records were measured on different test splits.
    """
    found = gates(records)
    return _draw(found) if found else None


def _draw(gates: Sequence[Record]) -> Figure:
    most = sorted(range(len(gates)), key=lambda i: gates[i].exit_share[-1])[:MOST_GATES]
    shown = [gates[i] for i in sorted(most)]
    heights = [HEADLINE + BAR * len(groups) + GAP for groups in _panels(shown[0]).values()]
    height = TOP + sum(heights) + BOTTOM
    figure = Figure(figsize=(WIDTH / 100, height / 100), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    width = (WIDTH - LEFT - RIGHT - BETWEEN * (len(shown) - 1)) / len(shown)
    for column, record in enumerate(shown):
        x, y = LEFT + column * (width + BETWEEN), height - TOP
        for room, (factor, groups) in zip(heights, _panels(record).items(), strict=True):
            bars = BAR * len(groups)
            place = (x / WIDTH, (y - HEADLINE - bars) / height, width / WIDTH, bars / height)
            axes = figure.add_axes(place)
            _bars(axes, groups, record.exit_share, width)
            if column == 0:
                _names(figure, factor, groups, y, height)
            y -= room
        axes.tick_params(axis="x", labelbottom=True, labelsize=12, colors=GREY, pad=6)
        for label, side in zip(axes.set_xticklabels(["0", "50", "100 %"]), SIDES, strict=True):
            label.set_horizontalalignment(side)
        _headline(figure, record, x, width, height)
    few = f", {len(shown)} of {len(gates)} gates" if len(shown) < len(gates) else ""
    title = f"Who leaves early, on {shown[0].runtime}: % of the images that each exit answers{few}"
    _text(figure, 30, height - 24, title, WIDTH - 60, fontsize=17, weight="bold", va="top")
    _legend(figure, shown)
    return figure


def _panels(record: Record) -> dict[str, list[ExitProfile]]:
    """What a column of the picture shows: first all images, then factor by factor."""
    everybody = ExitProfile(factor="", group="all", images=record.test_images, exit_share=record.exit_share)
    return {"all test images": [everybody], **by_factor(record)}


def _bars(axes: Axes, groups: Sequence[ExitProfile], overall: Sequence[float], width: float) -> None:
    """A bar per group from top to bottom, cut into the exits; dashed, how many of all images leave early."""
    axes.set(xlim=(0, 1), ylim=(len(groups) - 0.5, -0.5), yticks=[], xticks=[0, 0.5, 1])
    axes.tick_params(axis="x", length=0, labelbottom=False)
    axes.spines[:].set_visible(False)
    for row, one in enumerate(groups):
        start = 0.0
        for colour, share in zip(_colours(len(overall)), one.exit_share, strict=True):
            axes.barh(row, share, left=start, height=0.78, color=colour, edgecolor="white", linewidth=0.8)
            number = f"{100 * share:.0f}"
            if share * width > 9 * len(number) + 6:
                ink = INK if bright(colour) else "white"
                shown = axes.text(start + share / 2, row, number, ha="center", va="center_baseline", fontsize=11.5)
                shown.set(color=ink, zorder=4, path_effects=[withStroke(linewidth=3, foreground=colour)])
            start += share
    axes.axvline(1 - overall[-1], color=INK, linewidth=1, linestyle=DASHES, zorder=3)


def _names(figure: Figure, factor: str, groups: Sequence[ExitProfile], y: float, height: float) -> None:
    """Left of the first column: the factor, and every group with its number of images."""
    what = f"{factor}: {EXPLAINED[factor]}" if factor in EXPLAINED else factor
    _text(figure, 30, y - HEADLINE + 4, what, WIDTH - 60, fontsize=14, weight="bold", va="bottom")
    for row, one in enumerate(groups):
        middle = y - HEADLINE - BAR * (row + 0.5)
        name = one.group if len(one.group) <= LONGEST else f"{one.group[: LONGEST - 1]}…"
        _text(figure, 30, middle, name, LEFT - 120, fontsize=13)
        _text(figure, LEFT - 14, middle, f"{one.images:,}", 70, fontsize=12, color=GREY, ha="right")


def _headline(figure: Figure, record: Record, x: float, width: float, height: float) -> None:
    """Above a column: the gate, what it looks at, and how many leave early through it."""
    early = f"by {record.operating_point.criterion}, {100 * (1 - record.exit_share[-1]):.0f} % leave early"
    _text(figure, x, height - 66, short_name(record), width, fontsize=14, weight="bold", va="top")
    _text(figure, x, height - 92, early, width, fontsize=13, color=GREY, va="top")


def _legend(figure: Figure, shown: Sequence[Record]) -> None:
    colours = _colours(max(len(record.exit_share) for record in shown))
    names = [f"exit {number}" for number in range(1, len(colours))] + ["last exit"]
    handles = [Patch(color=colour) for colour in colours] + [Line2D([], [], color=INK, linewidth=1, linestyle=DASHES)]
    figure.legend(
        handles,
        [*names, "share of all test images that leave early"],
        loc="lower center",
        ncols=min(len(handles), 10),
        frameon=False,
        fontsize=13,
    )


def _text(figure: Figure, x: float, y: float, text: str, room: float, *, fontsize: float, **look) -> None:
    """Text at a place in px from the lower left corner, made smaller if it is wider than `room` px."""
    width, height = figure.get_size_inches() * figure.dpi
    look = {"color": INK, "va": "center_baseline", "parse_math": False, **look}
    shown = figure.text(x / width, y / height, text, fontsize=fontsize, **look)
    shown.set_fontsize(fontsize * min(1, room / shown.get_window_extent().width))


def _colours(exits: int) -> list[str]:
    """One per exit; the last one's is pale, for who stays."""
    inner = COLOURS[1:]
    return [inner[exit % len(inner)] for exit in range(exits - 1)] + [STAYED]
