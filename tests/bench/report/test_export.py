"""Exports lose nothing they promise to keep."""

import csv
import io
import json

import pytest

from bench.records import Record
from bench.report.export import export
from models.errors import UserError


def test_json_holds_whole_records(run):
    assert [Record.model_validate(one) for one in json.loads(export(run, "json"))] == run


def test_csv_has_one_row_of_scalars_per_record(run):
    rows = list(csv.DictReader(io.StringIO(export(run, "csv"))))
    assert [row["name"] for row in rows] == [r.name for r in run]
    assert [float(row["map"]) for row in rows] == [r.map for r in run]
    assert float(rows[0]["latency_ms.p90"]) == run[0].latency_ms.p90
    assert rows[0]["ap_small"] == ""
    assert rows[0]["ap_per_class.person"] == "0.474"
    assert rows[0]["oracle"] == rows[0]["gate_efficiency"] == ""
    assert "latency_ms.samples" not in rows[0]
    assert "map_bootstrap" not in rows[0]


def test_markdown_is_the_table_and_its_meaning(run):
    text = export(run, "markdown")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(run)
    assert len({row.count("|") for row in rows}) == 1
    assert rows[-1].startswith("| 100 | quant | 0.431 [")
    assert "- MFLOPs: mean per image, one multiply-add counts as one" in text
    assert "\nWORTH IT: at 1.62 ms" in text


def test_markdown_brackets_the_speeds(make):
    paired = {"value": 1.5, "low": 1.44, "high": 1.56}
    text = export([make("baseline", 0.4, 3.0), make("quant", 0.4, 2.0, speed_up=paired)], "markdown")
    assert "| speed [95 %] | images/s |" in text
    assert "| 1.00x | 432 | 100 |" in text
    assert "| 1.50x [1.44, 1.56] | 432 | 100 |" in text


def test_markdown_has_a_heading_row_per_runtime(three_runtimes):
    rows = [line for line in export(three_runtimes, "markdown").splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    heads = [i for i, row in enumerate(rows) if "**" in row]
    assert [rows[i].split("**")[1] for i in heads] == ["openvino", "onnxruntime", "eager"]
    assert heads == [2, 14, 26]
    assert rows[3].split("|")[2].strip() == "baseline-tuned"
    assert f"| {20 / 3:.2f}x | 432 | 100 |" in rows[3]


def test_csv_sets_several_runtimes_against_eager(run, three_runtimes):
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(export(three_runtimes, "csv")))}
    assert float(rows["quant-int8-openvino"]["vs_eager"]) == pytest.approx(20 / (0.76 * 3))
    assert float(rows["baseline-tuned-eager"]["vs_eager"]) == 1
    assert "vs_eager" not in export(run, "csv")


def test_an_unknown_format_is_refused(run):
    with pytest.raises(UserError, match=r"unknown format 'markdwn' \(did you mean 'markdown'\?"):
        export(run, "markdwn")
    with pytest.raises(UserError, match="known: json, csv, markdown"):
        export(run, "xlsx")


@pytest.mark.parametrize("fmt", ["json", "csv", "markdown"])
def test_other_test_splits_are_refused(run, fmt):
    with pytest.raises(UserError, match="test split"):
        export([run[0], run[1].model_copy(update={"split_hash": "0" * 64})], fmt)
