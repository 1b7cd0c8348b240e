"""A run's pages lose nothing they promise to keep, and end with the verdict and what stands behind it."""

import csv
import io
import json

import pytest

from bench.judge.verdict import verdict
from bench.records import Record
from bench.report.formats import formatted
from bench.report.run_page import full_page, run_page, short_page
from models.errors import UserError
from tests.support.printed import printed


def test_json_holds_whole_records(run):
    assert [Record.model_validate(one) for one in json.loads(formatted(run_page(run), "json"))] == run


def test_csv_has_one_row_of_scalars_per_record(run):
    rows = list(csv.DictReader(io.StringIO(formatted(run_page(run), "csv"))))
    assert [row["name"] for row in rows] == [r.name for r in run]
    assert [float(row["map"]) for row in rows] == [r.map for r in run]
    assert float(rows[0]["latency_ms.p90"]) == run[0].latency_ms.p90
    assert rows[0]["ap_small"] == ""
    assert rows[0]["ap_per_class.person"] == "0.474"
    assert rows[0]["oracle"] == rows[0]["gate_efficiency"] == ""
    assert "latency_ms.samples" not in rows[0]
    assert "map_bootstrap" not in rows[0]


def test_markdown_is_the_table_and_its_meaning(run):
    text = formatted(run_page(run), "markdown")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(run)
    assert len({row.count("|") for row in rows}) == 1
    assert rows[-1].startswith("| 100 | quant | 0.431 [")
    assert "- MFLOPs: mean per image, one multiply-add counts as one" in text
    assert "\nWORTH IT: at 1.62 ms" in text


def test_markdown_brackets_the_speeds(make):
    paired = {"value": 1.5, "low": 1.44, "high": 1.56}
    text = formatted(run_page([make("baseline", 0.4, 3.0), make("quant", 0.4, 2.0, speed_up=paired)]), "markdown")
    assert "| speed [95 %] | images/s |" in text
    assert "| 1.00x | 432 | 100 |" in text
    assert "| 1.50x [1.44, 1.56] | 432 | 100 |" in text


def test_markdown_has_a_heading_row_per_runtime(three_runtimes):
    rows = [line for line in formatted(run_page(three_runtimes), "markdown").splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    heads = [i for i, row in enumerate(rows) if "**" in row]
    assert [rows[i].split("**")[1] for i in heads] == ["openvino", "onnxruntime", "eager"]
    assert heads == [2, 14, 26]
    assert rows[3].split("|")[2].strip() == "baseline-tuned"
    assert f"| {20 / 3:.2f}x | 432 | 100 |" in rows[3]


def test_csv_sets_several_runtimes_against_eager(run, three_runtimes):
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(formatted(run_page(three_runtimes), "csv")))}
    assert float(rows["quant-int8-openvino"]["vs_eager"]) == pytest.approx(20 / (0.76 * 3))
    assert float(rows["baseline-tuned-eager"]["vs_eager"]) == 1
    assert "vs_eager" not in formatted(run_page(run), "csv")


@pytest.mark.parametrize("page", [run_page, full_page])
def test_other_test_splits_are_refused(run, page):
    with pytest.raises(UserError, match="test split"):
        page([run[0], run[1].model_copy(update={"split_hash": "0" * 64})])


def test_the_full_page_has_every_table_and_ends_with_the_verdict(run):
    lines, found = printed(full_page(run)), verdict(run)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 100
    for title in ("Every image at one exit", "8 images at once"):
        assert sum(line.startswith(title) for line in lines) == 1
    assert "\nWORTH IT: at 1.62 ms, faster than any other, early_exit+quant-tol2 has mAP 0.415" in text
    end = unwrapped(text[text.index("\nWORTH IT") :])
    assert end.startswith(f"{found.sentence} {found.at_equal_map}")
    assert f"95 % interval {found.low:.3f} to {found.high:.3f}" in end
    markdown = formatted(full_page(run), "markdown")
    assert "**Every image at one exit**\n\n| detector |" in markdown
    assert formatted(full_page(run), "json") == formatted(run_page(run), "json")


def test_the_controls_of_the_gate_that_speaks_come_last(run):
    drawn = {"random_exits": {"mean": 0.39, "low": 0.38, "high": 0.4}, "oracle": 0.44, "gate_efficiency": 0.5}
    speaks = verdict(run).early
    told = [type(r).model_validate({**r.model_dump(), **drawn}) if r.name == speaks else r for r in run]
    end = unwrapped("\n".join(printed(full_page(told)))).partition("WORTH IT: ")[2]
    assert "exits at random 0.390 [0.380, 0.400], by the oracle 0.440: gate efficiency 0.50" in end
    assert end.endswith("x the baseline.")


def test_alarms_are_said_with_who_raises_them(run):
    assert "ALARM" not in "\n".join(printed(full_page(run)))
    worried = [run[0], *(r.model_copy(update={"alarms": ("exit 1 is odd",)}) for r in run[1:3]), *run[3:]]
    assert f"ALARM exit 1 is odd ({run[1].name}, {run[2].name})" in unwrapped("\n".join(printed(full_page(worried))))


def test_the_short_page_has_rows_of_the_fastest_runtime_only(three_runtimes):
    (table,) = short_page(three_runtimes).tables
    names = [row.cells[table.headers.index("name")] for row in table.rows]
    here = [r.name.removesuffix("-openvino") for r in three_runtimes if r.runtime == "openvino"]
    assert sorted(names) == sorted(here)
    assert table.notes


def unwrapped(text: str) -> str:
    return " ".join(text.split())
