"""Names that come from users' data as pages and pictures can show them: printable, drawable, and short enough."""

from __future__ import annotations

from functools import cache, lru_cache

from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties, findfont, get_font

CUT = "…"
DPI = 100  # of every figure


def printable(text: str) -> str:
    """Text on one line, in which a character that would move a cursor or break a line stands as its escape."""
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def drawable(text: str) -> str:
    """Printable text, in which a character that the figures' font lacks stands as its escape."""
    return "".join(one if one.isprintable() and ord(one) in _glyphs() else _escape(one) for one in text)


def shortened(text: str, most: int) -> str:
    """Text without its middle where it is too long.

    Args:
        text: what to shorten.
        most: characters that may stay, the mark of the cut among them; at least 1.
    """
    if len(text) <= most:
        return text
    kept = most - 1
    return text[: kept - kept // 2] + CUT + text[len(text) - kept // 2 :]


def fitted(text: str, room: float, fontsize: float, weight: str = "normal") -> str:
    """Text that a figure can draw, without its middle where it is wider than it may be.

    Args:
        text: any text.
        room: for it, px.
        fontsize: in points.
        weight: of the font.
    """
    text = drawable(text)
    fits, over = 1, len(text) + 1
    while over - fits > 1:
        middle = (fits + over) // 2
        if width(shortened(text, middle), fontsize, weight) <= room:
            fits = middle
        else:
            over = middle
    return shortened(text, fits)


@lru_cache(4096)
def width(text: str, fontsize: float, weight: str = "normal") -> float:
    """How wide a text is on a figure, px; nothing in it is taken for mathematics."""
    return _renderer().get_text_width_height_descent(text, FontProperties(size=fontsize, weight=weight), False)[0]


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


@cache
def _renderer() -> RendererAgg:
    return RendererAgg(1, 1, DPI)


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties())).get_charmap())
