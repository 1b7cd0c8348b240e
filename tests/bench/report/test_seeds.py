"""What the spread of several runs looks like: every number where a reader looks for it, and what it holds and does not
hold said in words."""

import csv
import io
import json
from dataclasses import asdict, replace

import pytest

from bench.judge.seeds import Repeat, spread
from bench.report.formats import formatted
from bench.report.seeds import caption, notes, seeds_page, summary, verdicts
from models.errors import UserError
from tests.support.printed import printed

SHIFTS = (-0.01, 0.0, 0.01)


@pytest.fixture(scope="module")
def runs(run) -> list[Repeat]:
    """Three runs, whose accuracies go down, stay and go up by 0.01."""
    made = []
    for seed, shift in enumerate(SHIFTS):
        records = tuple(one.model_copy(update={"map": one.map + shift, "seed": seed}) for one in run)
        made.append(Repeat(f"run-{seed}", seed, {"name": f"run-{seed}", "seed": seed}, records))
    return made


@pytest.fixture(scope="module")
def found(runs):
    return spread(runs)


def shown(found) -> list[str]:
    return printed(seeds_page(found))


def test_a_row_holds_mean_spread_and_range(found):
    line = next(line for line in shown(found) if line.startswith("prune-30 "))
    assert line.split() == ["prune-30", "0.405", "±0.0100", "0.648", "±0.0000", "1.40x", "±0.00", "100", "2.38-2.38"]


def test_rows_that_the_verdicts_name_stand_first(found):
    lines = [line.strip() for line in shown(found)]
    first = next(number for number, line in enumerate(lines) if line.startswith("baseline "))
    named = sum(1 for row in found.rows if row.role)
    assert "baseline 3" in lines[first]
    assert "early" in lines[first + 1]
    rows = lines[first : first + len(found.rows)]
    assert all("±" in line for line in rows)
    assert [row.role != "" for row in found.rows] == [True] * named + [False] * (len(found.rows) - named)


def test_it_fits_the_terminal(found, three_runtimes):
    several = spread([Repeat(f"run-{seed}", seed, {"seed": seed}, tuple(three_runtimes)) for seed in (1, 2)])
    for one in (found, several):
        lines = shown(one)
        assert max(map(len, lines)) <= 100
        assert "…" not in "".join(lines)
    heads = [line.strip() for line in lines if line.strip() in ("openvino", "onnxruntime", "eager")]
    assert sorted(heads) == ["eager", "onnxruntime", "openvino"]
    assert heads[0] == "openvino"


def test_what_the_spread_holds_and_how_well_it_is_known_is_said(found):
    text = " ".join(caption(found))
    assert "3 runs, seeds 0, 1, 2; 600 test images" in text
    assert "of 3 runs it is uncertain itself: the true one is 0.52 to 6.28 times as large" in text
    for part in ("training", "thresholds", "bootstrap", "machine's noise", "does not hold the test images"):
        assert part in text


def test_every_run_has_its_word_and_number(found):
    lines = verdicts(found)
    for line, one, said in zip(lines, found.runs, found.verdicts, strict=True):
        assert line.startswith(f"{one.name} (seed {one.seed}): {said.decision}: {said.difference:+.3f} mAP [")
        assert said.early in line
        assert " and ".join(said.against) in line
    words = {said.decision for said in found.verdicts}
    assert all(f"{word} in " in summary(found) for word in words)


def test_a_run_without_a_verdict_says_why(runs):
    plain = [replace(one, records=tuple(r for r in one.records if "early" not in r.strategy)) for one in runs]
    found = spread(plain)
    assert all("No verdict" in line for line in verdicts(found))
    assert summary(found) == "no verdict in 3 of 3"


def test_other_machines_forced_runs_and_missing_records_are_said(runs):
    def elsewhere(record):
        machine = record.environment.model_copy(update={"cpu": "Xeon", "libraries": {"torch": "2.15.0"}})
        return record.model_copy(update={"environment": machine, "forced": True})

    other = replace(runs[1], records=tuple(map(elsewhere, runs[1].records[:-1])))
    said = notes(spread([runs[0], other]))
    assert said == [
        "only in run-0: quant",
        "the runs differ in cpu, libraries: the spread holds that too",
        "WARNING: the baseline failed the foundation check in run-1",
    ]


def test_json_holds_what_the_terminal_says(found):
    tree = json.loads(formatted(seeds_page(found), "json"))
    assert tree["rows"] == json.loads(json.dumps([asdict(row) for row in found.rows]))
    assert [one["decision"] for one in tree["verdicts"]] == [said.decision for said in found.verdicts]
    assert [one["sentence"] for one in tree["verdicts"]] == [said.sentence for said in found.verdicts]
    assert (tree["runs"], tree["summary"], tree["notes"]) == (3, summary(found), notes(found))


def test_csv_is_one_row_per_name(found):
    read = list(csv.DictReader(io.StringIO(formatted(seeds_page(found), "csv"))))
    assert [one["name"] for one in read] == [row.name for row in found.rows]
    for one, row in zip(read, found.rows, strict=True):
        assert float(one["map.sd"]) == row.map.sd
        assert one["speed_up.mean"] == (str(row.speed_up.mean) if row.speed_up else "")
        assert float(one["ms.2"]) == row.ms[1]


def test_markdown_is_one_table_and_ends_with_the_verdicts(found):
    text = formatted(seeds_page(found), "markdown")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(found.rows)
    assert len({line.count("|") for line in lines}) == 1
    assert "| prune-30 |  | 0.405 ±0.0100 |" in text
    assert text.endswith(f"{summary(found)}\n")


def test_an_unknown_format_is_refused(found):
    with pytest.raises(UserError, match="did you mean 'markdown'"):
        formatted(seeds_page(found), "markdwn")
