"""The plot is a PNG of the promised size, and its labels keep clear of each other."""

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.report.plot import _free_box, _overlap, pareto
from models.errors import UserError


def test_a_run_is_drawn(run, tmp_path):
    path = tmp_path / "plots" / "pareto.png"
    pareto(run, path)
    image = matplotlib.image.imread(path)
    assert image.shape[:2] == (800, 1600)
    edges = np.concatenate([image[:3, :, :3].ravel(), image[:, -3:, :3].ravel(), image[:, :3, :3].ravel()])
    assert (edges == 1).all(), "something is cut off at the border"
    assert len(list(path.parent.iterdir())) == 1


def test_one_record_and_two_runtimes_can_be_drawn(make, tmp_path):
    pareto([make("baseline", 0.4, 3.0)], tmp_path / "one.png")
    both = [
        make("baseline", 0.4, 3.0),
        make("baseline-eager", 0.4, 20.0, strategy="baseline", runtime="eager"),
    ]
    pareto(both, tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "two.png").read_bytes()


def test_other_test_splits_are_refused(run, tmp_path):
    with pytest.raises(UserError, match="test split"):
        pareto([run[0], run[1].model_copy(update={"split_hash": "0" * 64})], tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


@given(st.lists(st.tuples(st.floats(100, 900), st.floats(100, 500)), min_size=1, max_size=6))
@settings(max_examples=40)
def test_a_label_finds_a_free_place_inside_the_panel(points):
    panel = np.array([0.0, 0.0, 1000.0, 600.0])
    taken = np.array([[x - 9, y - 9, x + 9, y + 9] for x, y in points])
    for x, y in points:
        box = _free_box(np.array([x, y]), 60, 14, taken, panel)
        assert _overlap(box[None], taken).sum() == 0
        assert (box[:2] >= 0).all()
        assert (box[2:] <= panel[2:]).all()
        taken = np.concatenate([taken, box[None]])


def test_overlap_is_the_common_area():
    boxes = np.array([[0.0, 0, 4, 4], [10, 10, 12, 12]])
    other = np.array([[2.0, 3, 9, 9]])
    assert _overlap(boxes, other).tolist() == [[2.0], [0.0]]
