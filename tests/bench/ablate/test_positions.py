"""A scan of exit positions at toy size: what it measures agrees with what the pieces say, and its report says which
places nothing beats."""

import json

import pytest

from bench.ablate import positions, positions_report
from bench.ablate.positions_result import FILE, Place, Positions
from bench.ablate.stored import load
from bench.spec import read
from models.errors import UserError

SETTINGS = positions.Settings(epochs=1, width=8, views=1, labels=1.0)


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
    with pytest.raises(UserError, match="no run with a readable spec"):
        positions.scan_into(tmp_path, SETTINGS)
    with pytest.raises(UserError, match="no readable result"):
        load(Positions, tmp_path / FILE)


@pytest.mark.slow
def test_a_scan_at_toy_size(tmp_path, monkeypatch):
    monkeypatch.setattr(positions, "EVERYWHERE", (8, 14))
    monkeypatch.setattr(positions, "SCALES", (0.7,))
    changes = {"data.sizes": [16, 8, 8], "model.size": 96, "runtimes": ["eager"], "threads": 1, "strategies": []}
    measure = {"measure.images": 4, "measure.repeats": 2, "measure.warmup": 1, "measure.resamples": 100}
    spec = read("smoke", None, changes | measure | {"strategy.baseline.epochs": 1})
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    positions.scan_into(tmp_path, SETTINGS)
    found = load(Positions, tmp_path / FILE)
    assert [one.name for one in found.places] == ["whole", "block 8", "block 14", "64 px"]
    whole, first, second, small = found.places
    assert first.flops < second.flops < whole.flops
    assert small.flops < whole.flops
    assert whole.time == pytest.approx(1.0)
    text = (tmp_path / "positions.md").read_text()
    assert all(one.name in text for one in found.places)
    assert (tmp_path / "positions.png").stat().st_size > 10_000
    lines = [json.loads(line) for path in tmp_path.glob("checkpoints/*heads*.jsonl") for line in path.open()]
    assert {"exit1/class", "exit2/distil-box"} <= set(lines[0])
