"""The pictures of a probe as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.data.split import Split
from bench.experiments.probe.attention_figure import attention_figure
from bench.experiments.probe.features import PositionFeatures
from bench.experiments.probe.linear_figure import linear_figure
from bench.experiments.probe.result import Probe
from bench.experiments.probe.tokens_figure import tokens_figure
from bench.report.style import save


def write_figures(found: Probe, seen: Sequence[PositionFeatures], val: Split, folder: Path) -> None:
    """Draw attention.png, tokens.png and linear.png, each whole or not at all.

    Args:
        found: the result.
        seen: the features after each position.
        val: the split whose images they are of.
        folder: where the files go.
    """
    names = [f"{found.unit} {one.after}" for one in found.positions]
    drawn = {
        "attention": attention_figure(names, seen, val),
        "tokens": tokens_figure(names, seen, found),
        "linear": linear_figure(found),
    }
    for name, figure in drawn.items():
        save(figure, folder / f"{name}.png")
