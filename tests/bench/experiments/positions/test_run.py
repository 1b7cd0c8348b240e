"""A scan of exit positions at toy size: what it measures agrees with what the pieces say, and its report says which
places nothing beats."""

import json

import pytest

from bench.experiments.positions import report as positions_report
from bench.experiments.positions import run as positions
from bench.experiments.positions.result import FILE, Place, Positions
from bench.experiments.stored import load
from bench.spec import read
from models.errors import UserError

OPTIONS = {"epochs": 1, "augmentations": 1, "labels": 1.0}


def place(name: str, map: float, time: float) -> Place:
    return Place(
        name=name, map=map, map50=map, interval=(map, map), flops=1, ms=time, time=time, time_interval=(time, time)
    )


def test_the_frontier_is_what_nothing_beats():
    places = [place("a", 0.1, 0.3), place("b", 0.2, 0.5), place("c", 0.15, 0.6), place("d", 0.2, 0.7)]
    assert [one.name for one in positions_report.frontier(places)] == ["a", "b"]
    same = [place("a", 0.1, 0.3), place("b", 0.1, 0.3)]
    assert positions_report.frontier(same) == same


def test_a_folder_without_a_run_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match=r"spec\.json: there is no such file \(start one with bench run\)"):
        positions.scan_into(tmp_path, OPTIONS)
    with pytest.raises(UserError, match="no readable result"):
        load(Positions, tmp_path / FILE)


def toy(folder, model: str) -> None:
    """A run's folder with its spec alone."""
    changes = {"data.sizes": [16, 8, 8], "model.size": 96, "runtimes": ["eager"], "threads": 1, "strategies": []}
    measure = {"measure.images": 4, "measure.repeats": 2, "measure.warmup": 1, "measure.resamples": 100}
    spec = read("smoke", None, changes | measure | {"model.name": model, "strategy.baseline.epochs": 1})
    (folder / "spec.json").write_text(spec.model_dump_json())


def test_yolos_has_no_width_to_choose(tmp_path):
    toy(tmp_path, "yolos")
    with pytest.raises(UserError, match="yolos has no width"):
        positions.scan_into(tmp_path, {"width": 8})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "unit", "places", "width"), [("ssdlite", "block", (8, 14), 8), ("yolos", "layer", (3, 9), None)]
)
def test_a_scan_at_toy_size(tmp_path, monkeypatch, model, unit, places, width):
    monkeypatch.setattr(positions, "positions_of", lambda detector: places)
    monkeypatch.setattr(positions, "SCALES", (0.7,))
    toy(tmp_path, model)
    positions.scan_into(tmp_path, OPTIONS | {"width": width})
    found = load(Positions, tmp_path / FILE)
    assert [one.name for one in found.places] == ["whole", f"{unit} {places[0]}", f"{unit} {places[1]}", "64 px"]
    whole, first, second, small = found.places
    assert found.settings["epochs"] == 1
    assert first.flops < second.flops < whole.flops
    assert small.flops < whole.flops
    assert whole.time == pytest.approx(1.0)
    text = (tmp_path / "positions.md").read_text()
    assert all(one.name in text for one in found.places)
    assert (tmp_path / "positions.png").stat().st_size > 10_000
    lines = [json.loads(line) for path in tmp_path.glob("checkpoints/*heads*.jsonl") for line in path.open()]
    assert {"exit1/class", "exit2/distil-class"} <= set(lines[0])
