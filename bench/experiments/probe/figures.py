"""The pictures of a probe as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.data.split import Split
from bench.experiments.probe.attention_figure import attention_figure
from bench.experiments.probe.linear_figure import linear_figure
from bench.experiments.probe.observed import Seen
from bench.experiments.probe.result import Probe
from bench.experiments.probe.tokens_figure import tokens_figure
from bench.report.style import save


def write_figures(found: Probe, seen: Sequence[Seen], val: Split, folder: Path) -> None:
    """FOLDER/attention.png, tokens.png and linear.png, each whole or not at all."""
    names = [f"{found.unit} {one.after}" for one in found.positions]
    drawn = {
        "attention": attention_figure(names, seen, val),
        "tokens": tokens_figure(names, seen, found),
        "linear": linear_figure(found),
    }
    for name, figure in drawn.items():
        save(figure, folder / f"{name}.png")
