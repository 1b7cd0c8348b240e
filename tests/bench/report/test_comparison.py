"""Both runs' numbers stand where a reader looks for them, and all that differs between the runs is said."""

import csv
import io
import json
from dataclasses import asdict

import pytest

from bench.judge.compare import compare
from bench.judge.verdict import verdict
from bench.report.comparison import comparison_page, notes, summary
from bench.report.formats import formatted
from models.errors import UserError
from tests.support.printed import printed

NAMES = ("before", "after")


def shown(found) -> list[str]:
    return printed(comparison_page(found, NAMES))


@pytest.fixture
def found(make, run):
    """B has a better quant, a slower prune-30, no prune-50 and a resize of its own."""
    changed = {
        "quant": make("quant", 0.461, 1.65, precision="int8", size_mb=2.9, weights_hash="d" * 64),
        "prune-30": make("prune-30", 0.405, 2.85, weights_hash="e" * 64),
        "prune-50": make("resize-256", 0.4, 2.0),
    }
    return compare(run, [changed.get(r.name, r) for r in run])


def rows(lines: list[str], name: str) -> list[list[str]]:
    return [line.split() for line in lines if line.startswith(f"{name} ")]


def test_a_row_holds_both_runs_numbers_and_what_they_say(found):
    accuracy, time = rows(shown(found), "quant")
    assert accuracy == ["quant", "0.431", "0.461", "+0.030", "[0.030,", "0.030]", "better"]
    ratio = f"{1.98 / 1.65:.2f}"
    factor = [ratio, f"[{ratio},", f"{ratio}]", "better"]
    assert time == ["quant", "1.98", "1.65", *factor, *factor]
    accuracy, time = rows(shown(found), "prune-30")
    assert accuracy[3:] == ["0.000", "[0.000,", "0.000]", "same"]
    assert time[-1] == "worse"
    assert rows(shown(found), "baseline")[1][-2:] == ["-", "-"]


def test_what_is_called_is_named_and_the_rest_counted(found):
    assert summary(found) == [
        "mAP of B: better 1: quant; same 7",
        "time of B as timed: better 1: quant; worse 1: prune-30; same 6",
        "time of B, drift cancelled: better 1: quant; worse 1: prune-30; same 5",
    ]


def test_records_without_a_partner_and_other_weights_are_named(found):
    said = notes(found)
    assert "only in A: prune-50" in said
    assert "only in B: resize-256" in said
    assert "weights differ: prune-30, quant" in said


def test_several_runtimes_fit_in_sections_in_the_order_of_a_report(three_runtimes):
    fewer = [r for r in three_runtimes if r.strategy != "resize"]
    lines = shown(compare(three_runtimes, fewer))
    assert max(map(len, lines)) <= 100
    assert "…" not in "".join(lines)
    heads = [line.strip() for line in lines if line.strip() in ("openvino", "onnxruntime", "eager")]
    assert heads == 2 * ["openvino", "onnxruntime", "eager"]
    assert len(rows(lines, "early_exit-b8-12-tol1")) == 6
    assert any("only in A: resize-256 (eager, onnxruntime, openvino)" in line for line in lines)


def test_long_names_and_slow_detectors_fit(make):
    name = "multi_exit_yolos+quant-agreement-with-the-previous-exit-tol0.5"
    a, b = ([make("baseline", 0.44, 4000.0), make(name, 0.41, ms)] for ms in (3125.4, 312.54))
    lines = shown(compare(a, b))
    assert max(map(len, lines)) <= 100
    assert "3125" in "".join(lines)
    assert "10.00 [10.00, 10.00]" in "".join(lines)


def test_both_verdicts_end_it_under_the_runs_names(found):
    text = " ".join(" ".join(shown(found)).split())
    first, second = text.index(f"A (before): {verdict(found.a).sentence}"), text.index("B (after): ")
    assert first < second
    assert text.endswith(f"B (after): {verdict(found.b).sentence}")


def test_everything_that_differs_between_the_runs_is_said(make, run):
    def elsewhere(record):
        machine = record.environment.model_copy(
            update={
                "cpu": "Xeon",
                "threads": 4,
                "git_commit": "f" * 40,
                "dirty": True,
                "libraries": {"torch": "2.15.0"},
            }
        )
        foundation = record.foundation.model_copy(update={"map50": 0.71})
        images = tuple(image + 100 for image in record.latency_ms.images)
        return record.model_copy(
            update={
                "environment": machine,
                "splits": {**record.splits, "train": "9" * 64},
                "foundation": foundation,
                "latency_ms": record.latency_ms.model_copy(update={"images": images}),
                "noise": record.noise.model_copy(update={"value": 0.97}),
                "weights_hash": "d" * 64,
            }
        )

    said = "\n".join(notes(compare(run, [elsewhere(r) for r in run])))
    for line in (
        "cpu: A AMD EPYC, B Xeon",
        "threads: A 1, B 4",
        "openvino: A 2026.0.0, B none",
        "machines or libraries differ: a ratio of times compares them too, not detectors alone",
        "git commit: A none, B fffffff with uncommitted changes",
        f"train split: A {'a' * 12}, B {'9' * 12}",
        "foundation on val: A AP50 0.680 of 0.60, B AP50 0.710 of 0.60",
        "baselines: A weights ccccccc, B weights ddddddd",
        "timed on other images, 50 in A and 50 in B: drawn independently",
        "the baseline's time against its own is 1.000 in A and 0.970 in B, together 3.1 %",
    ):
        assert line in said
    assert "torch:" not in said
    assert "val split" not in said
    assert notes(compare(run, run)) == ["weights are the same in every pair"]


def test_thresholds_that_differ_are_said(run):
    other = [
        r.model_copy(update={"operating_point": r.operating_point.model_copy(update={"criterion": "x"})}) for r in run
    ]
    assert any(line.startswith("thresholds differ: baseline, early_exit-tol1") for line in notes(compare(run, other)))


def test_json_holds_what_the_terminal_says(found):
    tree = json.loads(formatted(comparison_page(found, NAMES), "json"))
    assert (tree["a"], tree["b"], tree["pairs"]) == ("before", "after", 8)
    assert tree["changes"] == [asdict(change) for change in found.changes]
    assert (tree["only_a"], tree["only_b"]) == (["prune-50"], ["resize-256"])
    assert tree["notes"] == notes(found)
    assert tree["verdicts"] == {"a": verdict(found.a).sentence, "b": verdict(found.b).sentence}


def test_csv_is_one_row_per_pair(found):
    read = list(csv.DictReader(io.StringIO(formatted(comparison_page(found, NAMES), "csv"))))
    assert [row["name"] for row in read] == [change.name for change in found.changes]
    for row, change in zip(read, found.changes, strict=True):
        assert float(row["map.value"]) == change.map.value
        assert float(row["time.low"]) == change.time.low
        assert row["speed_up.decision"] == (change.speed_up.decision if change.speed_up else "")


def test_markdown_holds_both_tables(found):
    text = formatted(comparison_page(found, NAMES), "markdown")
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("| name")]
    assert [len(lines) for lines in tables] == [10, 10]
    assert all(len({line.count("|") for line in lines}) == 1 for lines in tables)
    assert "| quant | 0.431 | 0.461 | +0.030 [0.030, 0.030] | better |" in text
    assert "- only in A: prune-50\n" in text
    assert text.endswith(f"B (after): {verdict(found.b).sentence}\n")


def test_an_unknown_format_is_refused(found):
    with pytest.raises(UserError, match="did you mean 'markdown'"):
        formatted(comparison_page(found, NAMES), "markdwn")
