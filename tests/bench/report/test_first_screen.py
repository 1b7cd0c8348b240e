"""What a run ends in fits one screen, breaks no name, and holds what a reader has to know first."""

from pathlib import Path

import pytest

from bench.judge.frontier import frontier
from bench.judge.verdict import is_early, verdict
from bench.records import baseline_of, load_records
from bench.report.first_screen import MOST_ALARMS, first_screen, shipped
from bench.report.records_table import variant
from tests.support.printed import console

REFERENCE = Path(__file__).resolve().parents[3] / "results/reference"
RUNS = sorted(path.parent for path in REFERENCE.glob("**/records"))


def screen(records, folder: Path = Path("nowhere"), width: int = 100) -> list[str]:
    return first_screen(records, folder, "mine", console(width)).splitlines()


def point(lines: list[str], record) -> str | None:
    """The line of a record, None when it has none; it holds the whole name or it is not found."""
    cells = [record.strategy, variant(record), f"{record.map:.3f}"]
    return next((line for line in lines if [*line.removeprefix(">").split()[1:4]] == cells), None)


@pytest.fixture(scope="module", params=RUNS, ids=lambda path: path.name)
def reference(request):
    return load_records(request.param)


@pytest.mark.parametrize("width", [100, 140])
def test_a_committed_run_fits_one_screen_and_no_name_wraps(reference, width):
    lines = screen(reference, width=width)
    assert len(lines) <= 40
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    found = verdict(reference)
    here = shipped(reference, found)
    ms = [r.latency_ms.mean for r in here]
    needed = [here[k] for k in frontier(list(zip(ms, (r.map for r in here), strict=True)))]
    needed += [r for r in here if r.name in (found.early, *found.against)]
    needed += [baseline_of(here, here[0].runtime)]
    assert not [r.name for r in needed if point(lines, r) is None]
    shown = [r for r in here if point(lines, r)]
    rule = next(i for i, line in enumerate(lines) if "───" in line)
    rows = lines[rule + 1 : next(i for i, line in enumerate(lines) if line.startswith("- "))]
    assert len(rows) == len(shown), "one line for each point"
    assert [point(lines, r) for r in shown] == rows, "the fastest first"


def test_a_committed_run_says_what_is_not_there(reference):
    lines = screen(reference)
    here = shipped(reference, verdict(reference))
    missing = [r for r in here if point(lines, r) is None]
    gates = sum(map(is_early, missing))
    said = next((line for line in lines if line.startswith("not shown: ")), "")
    assert bool(said) == bool(missing)
    assert (f"{gates} gate" in said) == bool(gates)
    assert (f"{len(missing) - gates} other point" in said) == (len(missing) > gates)


def test_a_narrow_terminal_has_as_few_lines(reference):
    lines = screen(reference, width=80)
    assert len(lines) <= 40
    assert "…" not in "".join(lines)


def test_it_ends_with_the_verdict_and_where_to_read_on(run, tmp_path):
    found = verdict(run)
    (tmp_path / "pareto.png").touch()
    text = " ".join(" ".join(screen(run, tmp_path)).split())
    assert f"{found.sentence} {found.at_equal_map} bench report mine --all" in text
    assert "the baseline's time against its own is 1.000 [" in text
    assert text.endswith(f"pictures in {tmp_path}: pareto.png")
    assert "bench sweep" not in text
    (tmp_path / "tables" / "early_exit").mkdir(parents=True)
    assert "bench sweep mine --budget 2.3ms" in " ".join(screen(run, tmp_path))


def test_what_the_verdict_names_is_marked(run):
    found = verdict(run)
    marked = [line.split()[2] for line in screen(run) if line.startswith(">")]
    named = [r.strategy for r in run if r.name in (found.early, *found.against)]
    assert sorted(marked) == sorted(named)


def test_alarms_are_cut_to_a_line_each_and_the_rest_is_counted(run):
    worried = [r.model_copy(update={"alarms": (f"alarm {k} {'goes on and ' * 20}on",)}) for k, r in enumerate(run)]
    lines = screen(worried)
    raised = [line for line in lines if line.startswith("ALARM")]
    assert [line[:13] for line in raised] == [f"ALARM alarm {k}" for k in range(MOST_ALARMS)]
    assert all(line.endswith(" ...") for line in raised)
    assert f"and {len(run) - MOST_ALARMS} more alarms: bench report mine --all" in lines
    assert len(lines) <= 40


def test_of_many_gates_those_of_each_strategy_stay(make):
    gates = [make(f"early_exit-tol{k}", 0.30 + 0.001 * k, 5 + 0.01 * k, (0.5, 0.5)) for k in range(60)]
    other = make("resolution_exit-tol1", 0.2, 9.0, (0.5, 0.5))
    lines = screen([make("baseline", 0.4, 3.0), make("quant", 0.39, 2.0), *gates, other])
    assert len(lines) <= 40
    assert point(lines, other), "the only gate of its strategy"
    assert any(line.startswith("not shown: ") and " gates" in line for line in lines)


def test_other_runtimes_have_a_line_each(three_runtimes):
    lines = screen(three_runtimes)
    assert "on openvino, 600 test images" in lines[0]
    assert sum(line.startswith("onnxruntime: fp32 baseline 4.00 ms; fastest within 2 %") for line in lines) == 1
    assert sum(line.startswith("eager: fp32 baseline 20.00 ms; ") for line in lines) == 1


def test_a_run_without_gates_has_its_frontier(make):
    records = [make("baseline", 0.4, 3.0), make("quant", 0.41, 2.0), make("prune-50", 0.3, 2.5)]
    lines = screen(records)
    assert point(lines, records[0])
    assert point(lines, records[1])
    assert point(lines, records[2]) is None
    assert any(line.startswith("No verdict") for line in lines)
    assert any(line == "not shown: 1 other point (bench report mine --all)" for line in lines)
