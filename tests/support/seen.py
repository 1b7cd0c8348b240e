"""What a figure shows: its pixels, its texts, and whether any text covers another or is cut off."""

from itertools import combinations
from pathlib import Path

import matplotlib.image
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench.report.style import save


def pixels(figure: Figure, folder: Path) -> np.ndarray:
    """The file that a figure becomes: uint8 [H, W, 3]."""
    image = matplotlib.image.imread(save(figure, folder / "figure.png"))[..., :3]
    return np.rint(255 * image).astype(np.uint8)


def where(image: np.ndarray, colour: str) -> np.ndarray:
    """Bool [H, W]: pixels of exactly this colour."""
    return (image == np.rint(255 * np.array(to_rgb(colour))).astype(np.uint8)).all(axis=2)


def texts(figure: Figure) -> list[Text]:
    """Every text that is seen."""
    found = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    ticks = [label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in _unseen(axis)]
    return [text for text in found if text not in ticks]


def _unseen(axis) -> list[Text]:
    """Labels of ticks that lie outside of an axis, or at its other side."""
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    outside = [tick.label1 for tick in ticks if not low <= tick.get_loc() <= high]
    return outside + [tick.label2 for tick in ticks]


def check_apart(figure: Figure) -> None:
    """No text covers another or leaves the figure."""
    width, height = figure.canvas.get_width_height()
    figure.canvas.draw()
    shown = [(text.get_text(), np.array(text.get_window_extent().extents)) for text in texts(figure)]
    for what, box in shown:
        assert (box >= 0).all(), f"{what!r} is cut off"
        assert (box[2:] <= [width, height]).all(), f"{what!r} is cut off"
    for (one, a), (other, b) in combinations(shown, 2):
        assert (a[2:] <= b[:2] + 1).any() or (b[2:] <= a[:2] + 1).any(), f"{one!r} covers {other!r}"
