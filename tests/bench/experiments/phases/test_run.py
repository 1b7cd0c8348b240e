"""The replay end to end at toy size, and its report; at its real size every recipe must meet its expectation."""

from pathlib import Path

import pytest

from bench.experiments.phases.recipes import RECIPES
from bench.experiments.phases.report import HEADERS, cells, page
from bench.experiments.phases.result import Phases, Settings
from bench.experiments.phases.run import replay, replay_into
from bench.report.formats import markdown
from models.errors import UserError
from tests.support.printed import printed

TOY = Settings(images=(8, 6, 6), pixels=64, batch_size=4, baseline_epochs=1, epochs=1, threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("phases")
    replay_into(where, TOY, ["1.2", "1.4", "sound"])
    return where


@pytest.fixture(scope="module")
def found(folder) -> Phases:
    return Phases.model_validate_json((folder / "phases.json").read_text())


@pytest.mark.slow
def test_every_recipe_ran_under_both_assignments(found):
    assert [(run.assignment, run.recipe) for run in found.runs] == [
        (assignment, name) for assignment in ("random", "iou") for name in ("1.2", "1.4", "sound")
    ]
    for run in found.runs:
        assert sum(run.exit_share) == pytest.approx(1)
        assert len(run.map_per_exit) == len(run.temperatures) == 3
        assert run.expected == ("passes" if run.assignment in RECIPES[run.recipe].passes else "caught")
    assert set(found.splits) == {"train", "val", "test"}


@pytest.mark.slow
def test_an_untrained_detector_is_caught_whatever_its_recipe(found):
    assert {run.outcome for run in found.runs} == {"caught"}
    assert not found.as_expected
    assert all("detects nothing" in run.alarms for run in found.runs)


@pytest.mark.slow
def test_recipes_that_differ_in_thresholds_alone_share_a_training(folder, found):
    assert len(list((folder / "checkpoints").glob("exits-iou-*.safetensors"))) == 2
    one, other = (next(run for run in found.runs if run.recipe == name) for name in ("1.2", "1.4"))
    assert one.map_per_exit == other.map_per_exit
    assert one.thresholds != other.thresholds


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers(found, tmp_path):
    again = replay(tmp_path, TOY, ["1.2"])
    assert again.runs == tuple(run for run in found.runs if run.recipe == "1.2")


@pytest.mark.slow
def test_the_report_says_what_the_result_says(folder, found):
    text = (folder / "phases.md").read_text()
    assert text == markdown(page(found))
    lines = text.splitlines()
    assert lines[0] == "| " + " | ".join(HEADERS) + " |"
    for line, run in zip(lines[2:], found.runs, strict=False):
        assert line == "| " + " | ".join(cells(run)) + " |"
    assert "sound iou" in lines[-1]
    assert (folder / "phases.png").read_bytes()[:4] == b"\x89PNG"
    assert "1.4 calibrated thresholds" in "\n".join(printed(page(found), width=200))


def test_an_unknown_recipe_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match=r"did you mean '1\.9'"):
        replay(tmp_path, TOY, ["1.99"])
