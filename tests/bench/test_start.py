"""What a run starts from: weights that know its classes, some of them or none; and what it says of it."""

import pytest
import torch

from bench.pipeline import initial_candidate, strategy_options
from bench.spec import IN_MEMORY, Model
from models.ssdlite.weights import stock


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("weights") / "stock.pth"
    torch.manual_seed(0)
    torch.save({"model": stock().state_dict(), "epoch": 3}, path)
    return str(path)


def test_what_starts_fresh_is_said_on_the_console_and_in_the_note(weights, capsys):
    model = Model(size=64, weights=weights)
    found = initial_candidate(model, ("person", "bolt", "nut"), seed=0)
    assert found.note == "from trained weights, rows of person kept; bolt and nut start fresh"
    assert "rows of person kept; bolt and nut start fresh" in " ".join(capsys.readouterr().err.split())
    assert found.detector.classes == ("person", "bolt", "nut")


@pytest.mark.parametrize("named", [True, False])
def test_nothing_is_said_where_all_or_no_weights_are_known(weights, capsys, named):
    model = Model(size=64, weights=weights if named else "none")
    found = initial_candidate(model, ("person", "dog"), seed=0)
    assert found.note == ("from trained weights" if named else "from scratch")
    assert capsys.readouterr().err == ""


def test_the_baseline_is_told_what_it_starts_from(weights):
    def start(given: str | None, *classes: str) -> str:
        return strategy_options({"baseline": {"epochs": 2}}, Model(weights=given), classes)["baseline"]["start"]

    assert start(weights, "person") == "weights"
    assert start(weights, "person", "bolt") == "new classes"
    assert start(None, "person") == start("none", "person") == "scratch"
    assert start(f"{IN_MEMORY}, sha256 0", "bolt") == "weights"
