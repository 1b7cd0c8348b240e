"""A figure becomes a whole file, and axes lose their furniture."""

import matplotlib.image
from matplotlib.figure import Figure

from bench.report.style import COLOURS, bright, plain, save


def test_axes_have_no_frame():
    axes = Figure().add_axes((0, 0, 1, 1))
    plain(axes)
    assert not any(spine.get_visible() for spine in axes.spines.values())


def test_a_figure_is_written_whole_into_a_new_folder(tmp_path):
    path = tmp_path / "deep" / "a.png"
    assert save(Figure(figsize=(2, 1), dpi=100), path) == path
    assert [one.name for one in path.parent.iterdir()] == ["a.png"]
    assert matplotlib.image.imread(path).shape[:2] == (100, 200)


def test_dark_text_stands_on_bright_colours_only():
    assert [bright(colour) for colour in ("white", "#F0E442", "#56B4E9", "#0072B2", "black")] == [True] * 3 + [
        False
    ] * 2
    assert not bright(COLOURS[0])
