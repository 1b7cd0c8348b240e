"""Training recipes at toy size.

What is trained is what the recipe says, the last layer reads the same by either head, and the report shows every
recipe.
"""

import json
import time
from types import SimpleNamespace

import pytest

from bench.data.shapes import shapes
from bench.experiments.auxiliary_losses import run
from bench.experiments.auxiliary_losses.report import page
from bench.experiments.auxiliary_losses.result import FILE, RecipeComparison, Settings
from bench.experiments.auxiliary_losses.run import RECIPES, USUAL, compare_into, step_times
from bench.experiments.stored import load
from bench.report.formats import markdown
from models.errors import UserError
from models.yolos.auxiliary import AuxiliaryLosses

TOY = Settings(images=(16, 6), pixels=64, batch_size=8, epochs=1, head_epochs=1, threads=1)


def test_an_unknown_recipe_is_a_clear_error(tmp_path):
    with pytest.raises(UserError, match="unknown recipe"):
        compare_into(tmp_path, TOY, ["usuall"])


@pytest.mark.slow
def test_more_queries_take_more_time(monkeypatch):
    """With eight times as many queries a step takes several times as long."""
    data = shapes(0, 2, 1, 1, size=64)
    monkeypatch.setitem(RECIPES, "many", AuxiliaryLosses(groups=8))
    monkeypatch.setattr(run, "STEPS", 4)
    monkeypatch.setattr(run, "time", SimpleNamespace(perf_counter=time.process_time))  # whatever else runs meanwhile
    found = step_times(("many", "exits alone"), data, TOY.model_copy(update={"batch_size": 2}))
    assert found["many"] > 3 > found["exits alone"]  # 5.3 and 0.9 were seen
    assert found.keys() == {"many", "exits alone"}


@pytest.mark.slow
def test_recipes_at_toy_size(tmp_path):
    names = ["exits alone", USUAL, "and denoising"]
    compare_into(tmp_path, TOY, names)
    found = load(RecipeComparison, tmp_path / FILE)
    assert [one.name for one in found.recipes] == names
    for one in found.recipes:
        assert len(one.own) == len(one.shared) == 4
        assert one.own[-1] == one.shared[-1]
        assert one.name in markdown(page(found))
    assert (tmp_path / "lessons.png").stat().st_size > 10_000
    first = [json.loads(path.read_text().splitlines()[0]) for path in tmp_path.glob("checkpoints/baseline*.jsonl")]
    parts = sorted(len(losses) for losses in first)
    assert parts == [1 + 3, 1 + 4 * 5, 1 + 4 * 8]
