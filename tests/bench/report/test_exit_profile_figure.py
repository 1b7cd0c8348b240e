"""The table and the picture of who leaves early show the right gates, and no text in the picture covers another."""

from itertools import combinations

import matplotlib.image
import numpy as np
import pytest
from matplotlib.text import Text

from bench.records import ExitProfile, Record
from bench.report.exit_profile import MOST_GROUPS, by_factor, exit_profile_table, gates
from bench.report.exit_profile_figure import MOST_GATES, exit_profile_figure
from bench.report.style import save
from models.errors import UserError
from tests.support.printed import printed


def kinds(share: tuple[float, ...], classes: int = 0) -> list[ExitProfile]:
    """Three sizes of object, of which the largest all leave at once, and any number of classes."""
    first = tuple(float(k == 0) for k in range(len(share)))
    names = {"object size": {"low (0.05 to 0.24)": share, "middle (0.25 to 0.55)": share, "high (0.56 to 1.00)": first}}
    names["class"] = {f"american football field {k}": share for k in range(classes)}
    return [
        ExitProfile(factor=factor, group=group, images=1000 + k, exit_share=one)
        for factor, groups in names.items()
        for k, (group, one) in enumerate(groups.items())
    ]


@pytest.fixture(scope="session")
def gate(make):
    """gate(name, ms, share, classes=..., **changes): a record that holds an exit profile."""

    def made(name: str, ms: float, share: tuple[float, ...], classes: int = 0, **changes) -> Record:
        own = {"variant": name.partition("-")[2].rpartition("-")[0], "exit_profile": kinds(share, classes)}
        return make(name, 0.4, ms, share, **{**own, **changes})

    return made


def test_the_gate_through_which_most_leave_speaks_for_its_detector(gate, make):
    records = [
        make("baseline", 0.4, 3.0),
        gate("early_exit-b8-tol1", 2.5, (0.1, 0.9)),
        gate("early_exit-b8-tol5", 2.2, (0.4, 0.6)),
        gate("early_exit-b8-tol2", 2.3, (0.3, 0.7)),
        gate("early_exit-b12-tol1", 2.9, (0.0, 1.0)),
        gate("early_exit+quant-b8-tol1", 1.9, (0.2, 0.8), precision="int8"),
        gate("early_exit-b8-tol9-eager", 20.0, (0.9, 0.1), runtime="eager", variant="b8"),
    ]
    assert [record.name for record in gates(records)] == ["early_exit-b8-tol5", "early_exit+quant-b8-tol1"]


def test_a_gate_that_tells_nobody_apart_speaks_only_where_no_other_does(gate):
    collapsed, telling = gate("early_exit-b8-tol5", 2.0, (1.0, 0.0)), gate("early_exit-b8-tol1", 2.2, (0.4, 0.6))
    assert gates([collapsed, telling]) == [telling]
    assert gates([collapsed]) == [collapsed]


def test_a_slower_runtime_speaks_where_nobody_leaves_on_the_fastest(gate):
    slow = gate("early_exit-b8-tol5-eager", 20.0, (0.3, 0.7), runtime="eager")
    assert gates([gate("early_exit-b8-tol5", 2.2, (0.0, 1.0)), slow]) == [slow]


def test_without_a_gate_there_is_neither_table_nor_picture(run, gate):
    for records in (run, [gate("early_exit-b8-tol1", 2.0, (0.0, 1.0))]):
        assert exit_profile_table(records) is None
        assert exit_profile_figure(records) is None


def test_other_test_splits_are_refused(gate):
    one, other = gate("early_exit-b8-tol1", 2.0, (0.5, 0.5)), gate("early_exit-b9-tol1", 2.0, (0.5, 0.5))
    with pytest.raises(UserError, match="test split"):
        exit_profile_table([one, other.model_copy(update={"split_hash": "0" * 64})])


def test_of_many_classes_those_with_the_most_images_are_shown_in_their_order():
    record = Record.model_construct(exit_profile=tuple(kinds((0.5, 0.5), classes=MOST_GROUPS + 5)))
    found = by_factor(record)
    assert list(found) == ["object size", f"class, {MOST_GROUPS} of {MOST_GROUPS + 5} with the most images"]
    *_, classes = found.values()
    assert [one.images for one in classes] == list(range(1005, 1005 + MOST_GROUPS))


def test_the_table_names_every_group_and_fits_100_columns(gate):
    share = (0.12, 0.08, 0.2, 0.1, 0.5)
    long = "early_exit+quant+distil+resize-b7-8-9-10-12-int8-256px-tol5"
    records = [gate(long, 2.0, share, classes=3, precision="int8"), gate("early_exit-b8-tol5", 2.0, (0.25, 0.75))]
    lines = printed(exit_profile_table(records))
    assert max(map(len, lines)) <= 100
    (high,) = [line for line in lines if "high" in line and "100/0/0/0/0" in line]
    assert high.split() == ["high", "(0.56", "to", "1.00)", "1002", "100/0/0/0/0"]
    assert sum("12/8/20/10/50" in line for line in lines) == 1 + 2 + 3
    assert sum("25/75" in line for line in lines) == 1 + 2


def seen(figure) -> list[Text]:
    """Every text in the picture."""
    found = [*figure.texts, *figure.legends[0].get_texts()]
    for axes in figure.axes:
        found += axes.texts
        found += [tick.label1 for tick in axes.xaxis.get_major_ticks() if tick.label1.get_visible()]
    return [text for text in found if text.get_text()]


@pytest.mark.slow
@pytest.mark.parametrize("columns", [1, 2, MOST_GATES + 1])
@pytest.mark.parametrize("share", [(0.35, 0.65), (0.2, 0.15, 0.65), (0.2, 0.05, 0.3, 0.02, 0.43)])
def test_no_text_covers_another_or_leaves_the_picture(gate, share, columns):
    names = [f"early_exit+quant-b7-8-9-int8-{k}-tol5" for k in range(columns)]
    figure = exit_profile_figure([gate(name, 2.0, share, classes=20) for name in names])
    width, height = figure.canvas.get_width_height()
    assert width == 1600
    figure.canvas.draw()
    shown = seen(figure)
    boxes = np.array([text.get_window_extent().extents for text in shown])
    for (one, a), (other, b) in combinations(zip(shown, boxes, strict=True), 2):
        apart = (a[2:] <= b[:2] + 1).any() or (b[2:] <= a[:2] + 1).any()
        assert apart, f"{one.get_text()!r} covers {other.get_text()!r}"
    assert boxes.min() >= 0
    assert (boxes[:, 2:] <= [width, height]).all()


def test_the_bars_are_as_long_as_the_shares(gate):
    share = (0.2, 0.15, 0.65)
    everybody, sizes = exit_profile_figure([gate("early_exit-b8-tol5", 2.0, share)]).axes
    assert [bar.get_width() for bar in everybody.patches] == pytest.approx(share)
    assert [bar.get_width() for bar in sizes.patches] == pytest.approx([*share, *share, 1, 0, 0])
    assert [bar.get_x() for bar in sizes.patches[:3]] == pytest.approx([0, 0.2, 0.35])
    assert [text.get_text() for text in sizes.texts] == ["20", "15", "65"] * 2 + ["100"]


def test_the_file_is_whole_and_1600_px_wide(gate, tmp_path):
    path = tmp_path / "plots" / "leavers.png"
    save(exit_profile_figure([gate("early_exit-b8-tol5", 2.0, (0.35, 0.65))]), path)
    assert [one.name for one in path.parent.iterdir()] == ["leavers.png"]
    image = matplotlib.image.imread(path)
    assert image.shape[1] == 1600
    edges = np.concatenate([image[:3, :, :3].ravel(), image[:, -3:, :3].ravel(), image[:, :3, :3].ravel()])
    assert (edges == 1).all(), "something is cut off at the border"
