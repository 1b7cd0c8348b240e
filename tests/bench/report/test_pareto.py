"""The plot is a PNG of the promised size, and its labels keep clear of each other."""

from itertools import combinations

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Text

from bench.report.pareto import _free_box, _overlap, pareto_figure
from bench.report.style import save
from models.errors import UserError


def test_a_run_is_drawn(run, tmp_path):
    path = tmp_path / "plots" / "pareto.png"
    save(pareto_figure(run), path)
    image = matplotlib.image.imread(path)
    assert image.shape[:2] == (800, 1600)
    edges = np.concatenate([image[:3, :, :3].ravel(), image[:, -3:, :3].ravel(), image[:, :3, :3].ravel()])
    assert (edges == 1).all(), "something is cut off at the border"
    assert len(list(path.parent.iterdir())) == 1


def test_one_record_and_two_runtimes_can_be_drawn(make, tmp_path):
    save(pareto_figure([make("baseline", 0.4, 3.0)]), tmp_path / "one.png")
    both = [
        make("baseline", 0.4, 3.0),
        make("baseline-eager", 0.4, 20.0, strategy="baseline", runtime="eager"),
    ]
    save(pareto_figure(both), tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "two.png").read_bytes()


def texts(figure) -> list[Text]:
    """Every text that is seen in the picture, axis labels, ticks, titles and legend included."""
    found = [*figure.texts, *figure.legends[0].get_texts(), figure.axes[0].yaxis.label]
    for axes in figure.axes:
        found += [*axes.texts, axes._left_title, axes.xaxis.label]
        found += [tick for tick in axes.get_xticklabels() if axes.viewLim.containsx(tick.get_position()[0])]
    ticks = figure.axes[0].get_yticklabels()
    return found + [tick for tick in ticks if figure.axes[0].viewLim.containsy(tick.get_position()[1])]


def test_several_runtimes_get_a_panel_each_and_no_text_covers_another(three_runtimes):
    figure = pareto_figure(three_runtimes)
    headlines = [
        "openvino: fp32 baseline 3.00 ms",
        "onnxruntime: fp32 baseline 4.00 ms",
        "eager: fp32 baseline 20.00 ms",
    ]
    assert [axes.get_title(loc="left") for axes in figure.axes] == headlines
    assert [axes.get_xlim()[1] > 15 for axes in figure.axes] == [False, False, True]
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert [axes.yaxis.get_tick_params().get("labelleft", True) for axes in figure.axes] == [True, False, False]
    assert [len(axes.texts) for axes in figure.axes] == [11, 11, 11]
    shown = texts(figure)
    boxes = np.array([Text.get_window_extent(text).extents for text in shown])  # of a label, without its leader
    for (one, a), (other, b) in combinations(zip(shown, boxes, strict=True), 2):
        assert _overlap(a[None], b[None]).sum() == 0, f"{one.get_text()!r} covers {other.get_text()!r}"
    assert boxes.min() >= 0
    assert (boxes[:, 2:] <= [1600, 800]).all()


def test_many_compositions_fit_below(run, make):
    more = ["early_exit+prune", "early_exit+prune+quant", "resize+quant", "prune+quant", "truncate", "longer"]
    figure = pareto_figure([*run, *(make(f"{name}-1", 0.3, 2.0 + i / 9) for i, name in enumerate(more))])
    legend, below = figure.legends[0].get_window_extent(), figure.axes[0].xaxis.label.get_window_extent()
    assert legend.x0 >= 0
    assert legend.x1 <= 1600
    assert legend.y1 <= below.y0


def test_the_legend_names_strategies_that_the_first_panel_lacks(make):
    here = make("baseline-openvino", 0.4, 3.0)
    there = [make("baseline-eager", 0.4, 20.0, runtime="eager"), make("quant-eager", 0.4, 30.0, runtime="eager")]
    assert [text.get_text() for text in pareto_figure([here, *there]).legends[0].get_texts()] == [
        "frontier",
        "baseline",
        "quant",
    ]


def test_other_test_splits_are_refused(run):
    with pytest.raises(UserError, match="test split"):
        pareto_figure([run[0], run[1].model_copy(update={"split_hash": "0" * 64})])


@given(st.lists(st.tuples(st.floats(100, 900), st.floats(100, 500)), min_size=1, max_size=6))
@settings(max_examples=40)
def test_a_label_finds_a_place_that_covers_a_corner_at_most(points):
    panel = np.array([0.0, 0.0, 1000.0, 600.0])
    taken = np.array([[x - 9, y - 9, x + 9, y + 9] for x, y in points])
    names = np.empty((0, 4))
    for x, y in points:
        box = _free_box(np.array([x, y]), 60, 14, taken, names, panel)
        assert _overlap(box[None], names).sum() <= 7  # of 840 px, what the furthest free place costs in names
        assert _overlap(box[None], taken).sum() <= 210
        assert _overlap(box[None], panel[None]).sum() >= 60 * 14 - 21
        names = np.concatenate([names, box[None]])


def test_a_leader_goes_round_a_name():
    place, panel = np.array([500.0, 300.0]), np.array([0.0, 0.0, 1000.0, 600.0])
    name = np.array([[512.0, 200.0, 530.0, 400.0]])
    taken = np.array([[380.0, 310.0, 620.0, 400.0], [380, 200, 620, 290], [432, 290, 490, 310]])
    nobody = np.empty((0, 4))
    assert _free_box(place, 30, 14, np.concatenate([taken, name]), nobody, panel)[0] >= 530, "the nearest free place"
    assert _free_box(place, 30, 14, taken, name, panel)[2] < 432, "further, but its leader crosses no name"


def test_overlap_is_the_common_area():
    boxes = np.array([[0.0, 0, 4, 4], [10, 10, 12, 12]])
    other = np.array([[2.0, 3, 9, 9]])
    assert _overlap(boxes, other).tolist() == [[2.0], [0.0]]
