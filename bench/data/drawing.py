"""Pixels for the embedded shapes: textures, line fragments and anti-aliased figures, as signed distances in numpy.

Only elementwise arithmetic on float32 and a rounded table of cosines are used, never a library's drawing or a
reduction, so the same seed gives the same bytes on every machine. Coordinates are pixels, a pixel's centre at +0.5.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FIGURES = ("circle", "square", "triangle", "star")
_COS = tuple(round(math.cos(math.radians(degree)), 6) for degree in range(360))
# A regular polygon with k sides lies inside all of its k half planes, at cos(180/k) of its radius. The
# pentagram lies inside at least four of the five half planes at cos(72) of its radius: its arms each stick
# out of one.
_SIDES = {"square": 4, "triangle": 3, "star": 5}
_INRADIUS = {"square": _COS[45], "triangle": _COS[60], "star": _COS[72]}

_DENT = round((3 - math.sqrt(5)) / 2, 6)  # radius of a pentagram's inner corners

Region = tuple[slice, slice]
Point = tuple[float, float]
Box = tuple[float, float, float, float]  # xyxy


def direction(degrees: int) -> tuple[float, float]:
    """The unit vector at a whole number of degrees.

    Args:
        degrees: any whole number.

    Returns:
        (x, y).
    """
    return _COS[degrees % 360], _COS[(degrees - 90) % 360]


@dataclass(frozen=True)
class Figure:
    """A figure placed in the image.

    Attributes:
        kind: one of FIGURES.
        x: centre, in px.
        y: centre, in px.
        radius: of the circumscribed circle, in px.
        turn: in whole degrees.
    """

    kind: str
    x: float
    y: float
    radius: float
    turn: int

    def box(self, size: int) -> Box:
        """The exact box around the part of the figure inside the image.

        Args:
            size: side of the image in px.

        Returns:
            x1, y1, x2, y2 in px.
        """
        return _extent(_clipped(self._outline(), size))

    def _outline(self) -> list[Point]:
        if self.kind == "circle":  # its extremes suffice, as long as the centre is inside the image
            turns, radii = [0, 90, 180, 270], [self.radius] * 4
        elif self.kind == "star":
            turns, radii = [self.turn + 36 * k for k in range(10)], [self.radius, self.radius * _DENT] * 5
        else:
            turns = _corners(self.kind, self.turn)
            radii = [self.radius] * len(turns)
        points = []
        for turn, radius in zip(turns, radii, strict=True):
            dx, dy = direction(turn)
            points.append((self.x + radius * dx, self.y + radius * dy))
        return points

    def distance(self, size: int) -> tuple[Region, NDArray[np.float32]]:
        """Signed distance on the region that the figure touches.

        Args:
            size: side of the image in px.

        Returns:
            The region, and the distance of each of its pixels in px: negative inside, exact along straight edges.
        """
        left, top, right, bottom = _extent(self._outline())
        region = _region(left - 1, top - 1, right + 1, bottom + 1, size)
        y, x = _centres(region)
        x, y = x - np.float32(self.x), y - np.float32(self.y)
        if self.kind == "circle":
            return region, np.sqrt(x * x + y * y) - np.float32(self.radius)
        inradius = np.float32(self.radius * _INRADIUS[self.kind])
        first = second = np.float32(-1e9)
        for degrees in _normals(self.kind, self.turn):
            nx, ny = direction(degrees)
            edge = x * np.float32(nx) + y * np.float32(ny) - inradius
            second = np.maximum(second, np.minimum(first, edge))
            first = np.maximum(first, edge)
        return region, second if self.kind == "star" else first


def unit_extent(kind: str, turn: int) -> Box:
    """The box around a figure of radius 1 at the origin.

    Args:
        kind: one of FIGURES.
        turn: in whole degrees.

    Returns:
        x1, y1, x2, y2.
    """
    return _extent(Figure(kind, 0.0, 0.0, 1.0, turn)._outline())


def _extent(points: list[Point]) -> Box:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def _clipped(points: list[Point], size: int) -> list[Point]:
    """The polygon's part inside the image, one side after the other (Sutherland and Hodgman 1974)."""
    for axis, limit, sign in ((0, 0, -1), (0, size, 1), (1, 0, -1), (1, size, 1)):
        kept: list[Point] = []
        for one, other in zip(points, points[1:] + points[:1], strict=True):
            start, end = sign * (one[axis] - limit), sign * (other[axis] - limit)
            if start <= 0:
                kept.append(one)
            if (start < 0 < end) or (end < 0 < start):
                t = start / (start - end)
                crossing = [a + t * (b - a) for a, b in zip(one, other, strict=True)]
                crossing[axis] = float(limit)
                kept.append((crossing[0], crossing[1]))
        points = kept
    return points


def _corners(kind: str, turn: int) -> list[int]:
    sides = _SIDES[kind]
    return [turn + 360 * k // sides for k in range(sides)]


def _normals(kind: str, turn: int) -> list[int]:
    # The edge of a pentagram that misses corner k is the one whose normal points at it.
    between = 0 if kind == "star" else 180 // _SIDES[kind]
    return [degrees + between for degrees in _corners(kind, turn)]


def noise(rng: np.random.Generator, size: int, cells: int, channels: int = 1) -> NDArray[np.float32]:
    """Smooth value noise: a random grid, blended.

    Args:
        rng: the source of randomness.
        size: side of the image in px.
        cells: cells of the grid along each side.
        channels: how many independent images.

    Returns:
        float32 [channels, size, size] in [-1, 1].
    """
    grid = rng.random((channels, cells + 1, cells + 1), dtype=np.float32) * np.float32(2) - np.float32(1)
    at = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(cells / size)
    low = at.astype(np.int64)
    blend = at - low.astype(np.float32)
    blend = blend * blend * (np.float32(3) - np.float32(2) * blend)
    across = grid[:, :, low] + (grid[:, :, low + 1] - grid[:, :, low]) * blend
    return across[:, low] + (across[:, low + 1] - across[:, low]) * blend[:, None]


def ramp(size: int, degrees: int) -> NDArray[np.float32]:
    """A linear gradient along a direction.

    Args:
        size: side of the image in px.
        degrees: the direction.

    Returns:
        float32 [size, size] in about [-1, 1].
    """
    dx, dy = direction(degrees)
    at = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / size) - np.float32(1)
    return at * np.float32(dx) + at[:, None] * np.float32(dy)


def strokes(
    canvas: NDArray[np.float32],
    starts: NDArray[np.float32],
    ends: NDArray[np.float32],
    widths: NDArray[np.float32],
    colours: NDArray[np.float32],
) -> None:
    """Paint n line fragments onto a canvas. The distances of all of them are computed at once.

    Args:
        canvas: float32 [3, size, size], changed in place.
        starts: x, y in px, float32 [n, 2].
        ends: x, y in px, float32 [n, 2].
        widths: in px, float32 [n].
        colours: float32 [n, 3].
    """
    if not len(starts):
        return
    size = canvas.shape[-1]
    reach = min(int(np.abs(ends - starts).max() + widths.max()) + 3, size)
    corners = np.clip(np.minimum(starts, ends).astype(np.int64) - 2, 0, size - reach)
    grid = np.arange(reach, dtype=np.float32) + np.float32(0.5)
    x = (corners[:, 0:1] + grid).astype(np.float32)[:, None, :] - starts[:, 0, None, None]
    y = (corners[:, 1:2] + grid).astype(np.float32)[:, :, None] - starts[:, 1, None, None]
    along = (ends - starts)[:, :, None, None]
    squared = np.maximum(along[:, 0] * along[:, 0] + along[:, 1] * along[:, 1], np.float32(1e-6))
    t = np.clip((x * along[:, 0] + y * along[:, 1]) / squared, 0, 1)
    dx, dy = x - t * along[:, 0], y - t * along[:, 1]
    cover = coverage(np.sqrt(dx * dx + dy * dy) - widths[:, None, None] / np.float32(2))
    for (left, top), alpha, colour in zip(corners, cover, colours, strict=True):
        patch = canvas[:, top : top + reach, left : left + reach]
        patch += (colour[:, None, None] - patch) * alpha


def coverage(distance: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much of each pixel is inside a figure.

    Args:
        distance: signed distance in px.

    Returns:
        Share in [0, 1], of the same shape.
    """
    return np.clip(np.float32(0.5) - distance, 0, 1)


def _region(left: float, top: float, right: float, bottom: float, size: int) -> Region:
    return (
        slice(max(math.floor(top), 0), min(math.ceil(bottom), size)),
        slice(max(math.floor(left), 0), min(math.ceil(right), size)),
    )


def _centres(region: Region) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rows, columns = (np.arange(part.start, part.stop, dtype=np.float32) + np.float32(0.5) for part in region)
    return rows[:, None], columns[None, :]
