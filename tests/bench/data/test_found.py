"""What a reader hands over: boxes clipped to their image, in arrays."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.found import Box, inside, labelled


@given(st.tuples(*[st.floats(-50, 100)] * 4))
def test_inside(corners):
    notes = Counter()
    found = inside(corners, (40, 30), notes)
    x1, x2 = np.clip([corners[0], corners[2]], 0, 40)
    y1, y2 = np.clip([corners[1], corners[3]], 0, 30)
    if found is None:
        assert min(x2 - x1, y2 - y1) < 1e-3
        assert notes == {"boxes left out (no area inside the image)": 1}
    else:
        assert found == pytest.approx((x1, y1, x2, y2), abs=1.1e-3)
        assert np.float32(found[2]) > np.float32(found[0])
        over = max(-corners[0], -corners[1], corners[2] - 40, corners[3] - 30)
        assert bool(notes) == (over > 5e-4) or over == pytest.approx(5e-4)


def test_boxes_in_arrays():
    boxes = [Box("chair", (1, 2, 4, 6.5)), Box("person", (0, 0, 0.5, 0.5), ignore=True)]
    image = labelled(Path("a.png"), "a.png", (8, 7), boxes, {"person": 1, "chair": 2}, "film")
    assert (image.width, image.height, image.group, image.id) == (8, 7, "film", None)
    assert image.corners.tolist() == [[1, 2, 4, 6.5], [0, 0, 0.5, 0.5]]
    assert image.labels.tolist() == [2, 1]
    assert image.crowd.tolist() == [False, True]
    assert image.areas.tolist() == [13.5, 0.25]


def test_an_image_without_boxes():
    image = labelled(Path("a.png"), "a.png", (8, 7), [], {})
    assert image.corners.shape == (0, 4)
    assert (image.labels.dtype, image.crowd.dtype) == (np.int64, bool)
