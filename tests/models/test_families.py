"""What can be said of a model and its weights before anything is built; families by name, ours and others', and those
that cannot do everything."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

import models.families as families
from models.errors import UserError
from models.families import FAMILIES, check, family_of, fresh, listed, of_model, origin, rows_kept, start
from models.family import Family
from models.registry import Registry
from models.ssdlite.weights import LAST
from strategies.base import Candidate
from strategies.baseline import Baseline
from strategies.prune import Prune
from strategies.resize import Resize
from strategies.resolution_exit import ResolutionExit
from strategies.truncate import Truncate
from tests.support.toys import OneStep, Scenes, candidate, no_score


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str | None]:
    """Small files of weights by what they are, as far as a family looks at them to say what they know."""
    folder = tmp_path_factory.mktemp("weights")
    save_file({"pos_cls": torch.zeros(1)}, folder / "trunk.safetensors")
    torch.save({"class_labels_classifier.layers.2.bias": torch.zeros(92)}, folder / "yolos.pth")
    torch.save({LAST: torch.zeros(6 * 3)}, folder / "two.pth")
    paths: dict[str, str | None] = {path.stem: str(path) for path in folder.iterdir()}
    return {**paths, "download": "torchvision", "none": None}


@pytest.mark.parametrize(
    ("model", "weights", "new", "begins", "words"),
    [
        ("yolos", "none", ("dog", "bolt"), "scratch", "from scratch"),
        ("ssdlite", "none", ("dog", "bolt"), "scratch", "from scratch"),
        ("yolos", "trunk", ("dog", "bolt"), "trunk", "around a trained trunk"),
        ("ssdlite", "download", ("bolt",), "new classes", "from trained weights"),
        ("yolos-tiny", "yolos", ("bolt",), "new classes", "from trained weights"),
        ("ssdlite", "two", (), "weights", "from trained weights"),
    ],
)
def test_what_weights_know_is_what_a_detector_starts_from(files, model, weights, new, begins, words):
    assert fresh(model, files[weights], ("dog", "bolt")) == new
    assert start(model, files[weights], ("dog", "bolt")) == begins
    assert origin(model, files[weights]) == words


def test_what_starts_fresh_is_said_and_nothing_where_nothing_or_everything_does(files):
    assert rows_kept("ssdlite", "torchvision", ("person", "bolt", "nut")) == (
        "rows of person kept; bolt and nut start fresh"
    )
    assert rows_kept("ssdlite", "torchvision", ("dog", "Cat", "bolt")) == "rows of dog and Cat kept; bolt starts fresh"
    assert rows_kept("ssdlite", "torchvision", ("bolt",)) == "trunk and box head kept; bolt starts fresh"
    assert rows_kept("ssdlite", "torchvision", ("dog",)) == ""
    assert rows_kept("ssdlite", None, ("dog",)) == rows_kept("yolos-small", files["trunk"], ("dog",)) == ""


def test_rows_that_are_known_by_their_order_alone_are_said_to_be(files):
    said = "the weights name no classes: their 2 are taken for dog and bolt, in this order"
    assert rows_kept("ssdlite", files["two"], ("dog", "bolt")) == said
    names = tuple(f"class {number}" for number in range(91))
    assert rows_kept("yolos-tiny", files["yolos"], names).startswith("the weights name no classes: their 91 are taken")


def test_many_names_are_counted():
    assert listed(["a"]) == "a"
    assert listed(list("abcde")) == "a, b, c, d and e"
    assert listed(list("abcdefg")) == "a, b, c, d and 3 more"


def test_every_model_has_a_family_that_goes_by_its_registered_name():
    known = {"ssdlite": "ssdlite", **dict.fromkeys(("yolos", "yolos-tiny", "yolos-small", "yolos-base"), "yolos")}
    assert {model: one.name for model, one in families.models().items()} == known
    assert {model: family_of(model) for model in known} == known
    assert all(FAMILIES.get(name).name == name for name in FAMILIES)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("yolos", 128, None, 50), "use a square number, such as 49"),
        (("yolos-small", 128, "hustvl/yolos-small", 49), "has no queries to choose"),
        (("ssdlite", 128, None, 49), "ssdlite has no queries"),
        (("yolos", 100, None, None), "whole number of patches"),
        (("yolo", 96, None, None), "did you mean 'yolos'"),
        (("ssdlite", 96, "nowhere.pth", None), "no such weights file"),
        (("yolos", 96, "nowhere.safetensors", None), "no such weights file"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_built(arguments, said):
    with pytest.raises(UserError) as raised:
        check(*arguments)
    assert said in str(raised.value)


@pytest.mark.slow
def test_nothing_is_imported_before_a_family_is_asked_for():
    code = (
        "import sys, models.families as f; assert list(f.FAMILIES); "
        "assert not {'torch', 'transformers', 'models.detector'} & set(sys.modules); "
        "f.family_of('ssdlite'); assert 'torch' in sys.modules and 'models.yolos.family' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def plain_family(name: str, models: tuple[str, ...]) -> Family:
    """A family that can be built and nothing else."""
    return Family(
        name=name,
        title=name.title(),
        models=dict.fromkeys(models, lambda classes, size, weights, queries: candidate(classes, size).detector),
        check=lambda model, size, weights, queries: None,
        weights="give none",
        fresh=lambda weights, classes: classes,
        exits=(),
    )


@pytest.fixture
def registry(monkeypatch):
    """Our families, and room for more that are gone after the test."""
    ours = {entry.name: (entry.target, entry.summary) for entry in FAMILIES.entries()}
    made = Registry("family", "exitbench.families", "--model", ours)
    monkeypatch.setattr(families, "FAMILIES", made)
    return made


def test_a_family_of_somebody_elses_joins_under_the_names_of_its_models(registry):
    registry.add("toy", plain_family("toy", ("toy-a", "toys-b")))
    assert family_of("toys-b") == "toy"
    assert families.build("toy-a", ("a",), 96, None).classes == ("a",)
    with pytest.raises(UserError, match="did you mean 'toys-b'"):
        of_model("toys-c")


def test_two_families_cannot_bring_one_model(registry):
    registry.add("toy", plain_family("toy", ("yolos-tiny",)))
    with pytest.raises(UserError, match="two families bring the model 'yolos-tiny': yolos and toy"):
        of_model("yolos-tiny")


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        (Prune(), "toy cannot be pruned"),
        (Truncate(), "toy cannot be cut short"),
        (Resize(), "toy has one input size"),
        (ResolutionExit(), "toy has one input size"),
        (Baseline(auxiliary_losses={"every": 3}), "toy has no auxiliary losses"),
        (Baseline(layer_decay=0.5), "toy has no rates layer by layer"),
    ],
)
def test_what_a_family_cannot_do_it_refuses_in_one_line_before_it_trains(registry, strategy, said):
    registry.add("toy", plain_family("toy", ("toy",)))
    start: Candidate = candidate()
    start.detector.family = "toy"
    fit = OneStep()
    with pytest.raises(UserError, match=said) as raised:
        strategy.apply(start, fit=fit, score=no_score, train=Scenes(), val=Scenes(3), seed=0)
    assert "\n" not in str(raised.value)
    assert not fit.calls


def test_the_wrong_family_is_told_what_it_has_itself(registry):
    registry.add("toy", replace(plain_family("toy", ("toy",)), exits=("toy_exits", "resolution_exit")))
    with pytest.raises(UserError, match=r"it is for yolos, not for toy .*Toy has toy_exits and resolution_exit"):
        families.require("toy", "yolos", where="strategy multi_exit_yolos")
