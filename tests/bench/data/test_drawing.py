"""Figures against an independent drawing: Pillow's polygons, sixteen times finer."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from bench.data.drawing import FIGURES, Figure, noise, strokes

FINE, SIZE = 16, 64


def fine_mask(figure: Figure) -> np.ndarray:
    """The figure as bool [SIZE * FINE] * 2, with room for what the image cuts off left out."""
    canvas = Image.new("1", (SIZE * FINE, SIZE * FINE))
    if figure.kind == "circle":
        turns, radii = [3 * k for k in range(120)], [1.0]
    elif figure.kind == "star":
        turns, radii = [36 * k for k in range(10)], [1.0, (3 - math.sqrt(5)) / 2]
    else:
        sides = {"square": 4, "triangle": 3}[figure.kind]
        turns, radii = [360 / sides * k for k in range(sides)], [1.0]
    corners = []
    for k, turn in enumerate(turns):
        angle, radius = math.radians(turn + figure.turn), figure.radius * radii[k % len(radii)]
        x, y = figure.x + radius * math.cos(angle), figure.y + radius * math.sin(angle)
        corners.append((x * FINE - 0.5, y * FINE - 0.5))
    ImageDraw.Draw(canvas).polygon(corners, fill=1)
    return np.array(canvas, bool)


def box_of(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


figures = st.builds(
    Figure,
    kind=st.sampled_from(FIGURES),
    x=st.floats(4, 60),
    y=st.floats(4, 60),
    radius=st.floats(6, 24),
    turn=st.integers(0, 359),
)


@settings(max_examples=150)
@given(figures)
def test_boxes_are_tight(figure):
    measured = box_of(fine_mask(figure)) / FINE
    assert figure.box(SIZE) == pytest.approx(measured, abs=0.25)


@settings(max_examples=150)
@given(figures)
def test_distance_is_negative_exactly_inside(figure):
    region, distance = figure.distance(SIZE)
    inside = fine_mask(figure)[FINE // 2 :: FINE, FINE // 2 :: FINE]
    assert np.abs(distance)[inside[region] != (distance <= 0)].max(initial=0) < 0.2
    inside[region] = False
    assert not inside.any()


def test_noise_is_bounded_and_smooth():
    field = noise(np.random.default_rng(0), 80, 8, 3)
    assert field.shape == (3, 80, 80)
    assert field.dtype == np.float32
    assert np.abs(field).max() <= 1
    assert np.abs(np.diff(field, axis=2)).max() < 2 * 1.5 / 10 + 1e-5  # smoothstep's steepest slope over one cell


def test_a_stroke_covers_its_line_and_nothing_far_from_it():
    canvas = np.zeros((3, 40, 40), np.float32)
    one = [np.array(value, np.float32) for value in ([[5, 20]], [[30, 20]], [2], [[90, 60, 30]])]
    strokes(canvas, *one)
    assert canvas[:, 19:21, 6:29] == pytest.approx(np.broadcast_to([[[90]], [[60]], [[30]]], (3, 2, 23)))
    assert not canvas[:, :17].any()
    assert not canvas[:, :, 33:].any()
