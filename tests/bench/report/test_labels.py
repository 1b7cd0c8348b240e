"""Names of users' data can be printed, drawn and shortened, whatever is in them."""

import warnings

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.report.labels import drawable, fitted, printable, shortened, width

ODD = "a\nb\x1b[31m$x_1$\udce9 人é"


def test_what_moves_a_cursor_is_written_as_its_escape():
    assert printable(ODD) == r"a\nb\x1b[31m$x_1$\udce9 人é"


def test_what_the_font_lacks_is_written_as_its_escape():
    assert drawable(ODD) == r"a\nb\x1b[31m$x_1$\udce9 \u4ebaé"


def test_a_figure_draws_such_names_without_a_warning():
    figure = Figure()
    figure.text(0, 0, drawable(ODD + "".join(map(chr, range(0, 0x3000, 50)))), parse_math=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FigureCanvasAgg(figure).draw()


@pytest.mark.parametrize(("most", "found"), [(20, "abcdefghij"), (10, "abcdefghij"), (5, "ab…ij"), (2, "a…"), (1, "…")])
def test_the_middle_goes(most, found):
    assert shortened("abcdefghij", most) == found


@pytest.mark.parametrize("room", [20, 77, 200])
def test_a_text_is_as_long_as_there_is_room(room):
    name = "0123456789" * 20
    found = fitted(name, room, 11)
    assert width(found, 11) <= room < width(shortened(name, len(found) + 1), 11)
    assert found.startswith("0") == (len(found) > 1)
    assert found.endswith("9") == (len(found) > 2)
    assert fitted("", room, 11) == ""
    assert fitted("ab", 200, 11) == "ab"
