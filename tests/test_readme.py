"""Tables, verdicts and screens in README.md and docs/results.md, and the studies' own pages, are what the committed
records say, to the letter."""

import importlib.util
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.experiments.auxiliary_losses import report as auxiliary_losses_report
from bench.experiments.auxiliary_losses.result import RecipeComparison
from bench.experiments.phases import report as phases_report
from bench.experiments.phases.result import Phases
from bench.experiments.positions import report as positions_report
from bench.experiments.positions.result import Positions
from bench.experiments.probe.report import page as probe_page
from bench.experiments.probe.result import Probe
from bench.experiments.stored import load
from bench.judge.verdict import verdict
from bench.records import load_records
from bench.report.formats import markdown

ROOT = Path(__file__).resolve().parent.parent
FILLED = {name: (ROOT / name).read_text() for name in ("README.md", "docs/results.md")}
PROBES = sorted((ROOT / "results/reference").glob("probe-*"))
STUDIES = sorted(path.parent.name for path in (ROOT / "results/reference").glob("*/records"))


@pytest.fixture(scope="module")
def publish():
    found = importlib.util.spec_from_file_location("publish", ROOT / "results/publish.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", STUDIES)
def test_tables_verdicts_and_pages_are_generated_from_the_records(name, publish):
    blocks = publish.blocks(name)
    assert f"<!-- begin verdict {name} -->" in FILLED["docs/results.md"], "the results say what the study found"
    assert {file: publish.filled(text, blocks) for file, text in FILLED.items()} == FILLED
    folder = ROOT / "results/reference" / name
    pages = publish.pages(name)
    assert {file: (folder / file).read_text() for file in pages} == pages
    assert (folder / "classes.md").exists() == ("classes.md" in pages)


@pytest.mark.parametrize("file", FILLED)
def test_every_block_is_about_a_study(file):
    begun, ended = (
        re.findall(rf"<!-- {side} (?:results/reference/|verdict |screen )(\S+) -->", FILLED[file])
        for side in ("begin", "end")
    )
    assert begun == ended
    assert len(begun) == FILLED[file].count("<!-- begin "), "no other kind of block"
    assert set(begun) <= set(STUDIES)


def test_publishing_fills_the_files_that_hold_blocks(publish):
    assert {str(path.relative_to(ROOT)) for path in publish.FILLED} == set(FILLED)


def test_the_readme_is_short_and_its_numbers_are_generated():
    assert len(FILLED["README.md"].splitlines()) <= 100
    written = re.sub(r"<!-- begin .*?<!-- end [^>]+ -->|Python [\d.]+", "", FILLED["README.md"], flags=re.DOTALL)
    assert not re.findall(r"\d\.\d\d", written), "numbers belong into a generated block"
    assert len(re.findall(r"<!-- begin verdict ", FILLED["README.md"])) == 3


def test_the_screen_is_an_excerpt_of_what_bench_report_prints(publish, tmp_path):
    folder = tmp_path / "coco-person"
    shutil.copytree(ROOT / "results/reference/coco-person/records", folder / "records")
    records = load_records(folder)
    printed = [line.rstrip() for line in CliRunner().invoke(app, ["report", str(folder)]).output.splitlines()]
    first, last = publish.screen(records).split("\n...\n")
    for part in (first.splitlines(), last.splitlines()):
        assert any(printed[k : k + len(part)] == part for k in range(len(printed)))
    assert " ".join(last.split()).startswith(verdict(records).sentence)


def test_there_is_a_reference_study():
    assert STUDIES


def test_blocks_are_filled_where_a_text_has_markers_for_them(publish):
    other = "<!-- begin verdict xy -->kept<!-- end verdict xy -->"
    text = f"a <!-- begin verdict x -->old\nlines<!-- end verdict x --> b {other}"
    said = r"WORTH IT: at 2 ms \1 is 0.1 above."
    once = publish.filled(text, {"verdict x": said, "results/reference/x": "table"})
    assert once == text.replace("old\nlines", said)
    assert publish.filled(once, {"verdict x": said}) == once


def test_the_verdict_is_a_sentence_and_the_table_has_its_rows_once(publish):
    blocks = publish.blocks("coco-person")
    assert re.match(r"(NOT WORTH IT|WORTH IT|UNDECIDED): at .*\.$", blocks["verdict coco-person"])
    assert "\n" not in blocks["verdict coco-person"]
    assert blocks["results/reference/coco-person"].count("| quant-int8 |") == 1


ABLATIONS = {
    "phases": lambda folder: phases_report.page(load(Phases, folder / "phases.json")),
    "lessons": lambda folder: auxiliary_losses_report.page(load(RecipeComparison, folder / "lessons.json")),
    "positions": lambda folder: positions_report.page(load(Positions, folder / "positions.json")),
}


ABLATED = [path for name in ABLATIONS for path in sorted((ROOT / "results/reference").glob(f"*/{name}.json"))]


@pytest.mark.parametrize("path", ABLATED, ids=lambda path: path.parent.name)
def test_tables_of_ablations_are_generated_from_their_results(path):
    assert path.with_suffix(".md").read_text() == markdown(ABLATIONS[path.stem](path.parent))


@pytest.mark.parametrize("folder", PROBES, ids=lambda folder: folder.name)
def test_tables_of_probes_are_generated_from_their_records(folder):
    found = load(Probe, folder / "probe.json")
    assert (folder / "probe.md").read_text() == markdown(probe_page(found))
    assert (folder / "attention.png").exists() == (found.data == "shapes"), "no photograph is published"


def test_both_families_were_probed():
    assert {load(Probe, folder / "probe.json").unit for folder in PROBES} == {"layer", "block"}


def test_every_planted_failure_of_the_replayed_rounds_was_caught():
    found = load(Phases, ROOT / "results/reference/phases/phases.json")
    assert found.as_expected
    assert {run.assignment for run in found.runs if run.outcome == "caught"} == {"random", "iou"}
    assert [run.recipe for run in found.runs if run.recipe == "sound" and run.outcome == "passes"]


def test_the_page_about_seeds_is_generated_from_their_records(publish):
    folder = ROOT / "results/reference/seeds"
    assert (folder / "README.md").read_text() == publish.seeds_page(folder)
    assert len([one for one in folder.iterdir() if one.is_dir()]) >= 3
