"""The views of a sweep fit, agree with each other, and no label leaves the picture."""

import csv
import io
import json

import matplotlib.image
import pytest

from bench.report.formats import formatted
from bench.report.style import save
from bench.report.sweep import sweeps_page
from bench.report.sweep_figure import sweep_figure
from bench.study.sweep import Sweep, sweeps
from tests.support.printed import printed
from tests.support.stored import stored_run


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> Sweep:
    folder = stored_run(tmp_path_factory.mktemp("runs"), budgets=["2ms", "0.5ms"], risks=[0.05, 0.01])
    return sweeps(folder)[0]


def test_the_terminal_shows_everything_in_100_columns(found):
    text = "\n".join(printed(sweeps_page([found])))
    assert max(map(len, text.splitlines())) <= 100
    lines = [line.split() for line in text.splitlines()]
    for one in found.points:
        rows = [cells for cells in lines if cells and cells[0] == one.name]
        assert len(rows) == 2
        assert f"{one.map:.3f}" in rows[0]
        assert f"{one.ms:.2f}" in rows[0]
        assert "/".join(f"{100 * share:.0f}" for share in one.share) in rows[0]
    unwrapped = " ".join(text.split())
    assert "no policy over these exits is faster than 3.00x the last one" in unwrapped
    assert "no gate is within 0.5ms" in unwrapped
    assert "risk1: the run has no policy that was shown to keep this promise" in unwrapped
    assert f"Who leaves early by {found.example}" in unwrapped
    order = [cells[0] for cells in lines if cells and cells[0] in found.curves]
    assert order == ["max_score", "agreement", "margin"]


def test_formats_agree_on_every_point(found):
    tree = json.loads(formatted(sweeps_page([found]), "json"))[0]
    rows = list(csv.DictReader(io.StringIO(formatted(sweeps_page([found]), "csv"))))
    assert [point["name"] for point in tree["points"]] == [row["name"] for row in rows]
    for point, row, one in zip(tree["points"], rows, found.points, strict=True):
        assert point["map"] == float(row["map"]) == one.map
        assert point["share"] == [float(row[f"share.{k}"]) for k in (1, 2, 3)]
        if one.random:
            assert point["random"]["low"] == float(row["random.low"]) == one.random.low
        if one.thresholds:
            assert [row[f"thresholds.{k}"] for k in (1, 2)] == [
                "" if cut is None else str(cut) for cut in point["thresholds"]
            ]
    assert len(tree["curves"]) == 3
    assert tree["promises"][0]["name"] == "risk5"
    text = formatted(sweeps_page([found]), "markdown")
    for line in (one for one in text.splitlines() if one.startswith("|")):
        assert line.endswith("|")
    assert all(f"| {one.name} |" in text for one in found.points)


def test_the_picture_has_its_size_and_every_text_lies_in_it(found, tmp_path):
    path = tmp_path / "deep" / "sweep.png"
    save(sweep_figure(found), path)
    assert matplotlib.image.imread(path).shape[:2] == (800, 1600)
    figure = sweep_figure(found)
    figure.canvas.draw()
    left, right = figure.axes
    texts = [*left.texts, *right.get_yticklabels(), left.xaxis.label, left.yaxis.label, right.xaxis.label]
    texts += [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for text in texts:
        box = text.get_window_extent()
        assert min(box.x0, box.y0) >= 0, text.get_text()
        assert max(box.x1 - 1600, box.y1 - 800) <= 0, text.get_text()
    one, other = (legend.get_window_extent() for legend in figure.legends)
    assert one.x1 <= other.x0
    shown = {text.get_text() for text in left.texts}
    assert {"exit 1", "exit 2", "last exit", "nothing is faster"} <= shown
    assert "within2ms" in ", ".join(shown)
    assert left.lines[-1].get_xdata()[0] == found.ms[0], "the bound"
