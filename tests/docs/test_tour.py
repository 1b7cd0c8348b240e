"""docs/tour.py runs from top to bottom and prints what the stored run says. It is a script that notebooks open as one:
without a kernel to start, it is run here in this process, and its changes can be read."""

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOUR = ROOT / "docs" / "tour.py"


@pytest.mark.slow
def test_the_tour_can_be_taken(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("tempfile.mkdtemp", lambda: str(tmp_path))
    names = runpy.run_path(str(TOUR))
    said = capsys.readouterr().out
    assert names["run"].verdict.sentence in said
    records = [json.loads(path.read_text()) for path in (names["run"].folder / "records").glob("*.json")]
    floor = 0.95 * max(record["map"] for record in records)
    for strategy in {record["strategy"] for record in records}:
        own = [record for record in records if record["strategy"] == strategy and record["map"] >= floor]
        if own:
            assert min(own, key=lambda record: record["latency_ms"]["mean"])["name"] in said
    assert (tmp_path / "pareto.png").stat().st_size > 10_000
    assert {"early_exit", "baseline"} <= {record.strategy for record in names["mine"].records}
    assert "tol2 " in said


def test_its_cells_are_in_the_percent_format():
    cells = TOUR.read_text().split("# %%")
    assert cells[0] == ""
    for cell in cells[1:]:
        head, _, body = cell.partition("\n")
        assert head in ("", " [markdown]")
        assert all(line.startswith("#") for line in body.strip().splitlines()) == (head == " [markdown]")
