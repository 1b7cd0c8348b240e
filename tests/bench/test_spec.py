"""A spec is checked before anything expensive starts, and every mistake is one clear line."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from bench.files import read_toml
from bench.spec import RunSpec, default_preset, describe_presets, presets, read
from models.errors import UserError
from strategies.registry import STRATEGIES, parts
from tests.support.plugins import bring


@pytest.mark.parametrize("preset", presets())
def test_presets_are_valid_and_say_what_they_are(preset):
    assert read(preset, None, {}).name == preset
    assert len(describe_presets()[preset]) > 20


def test_the_command_line_goes_before_the_preset():
    spec = read("smoke", None, {"strategies": ["prune"], "data.source": "coco:x", "seed": 7, "name": None})
    assert (spec.strategies, spec.data.source, spec.seed, spec.name) == (("prune",), "coco:x", 7, "smoke")
    assert spec.data.sizes is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.queries": 50}, "fill no square grid"),
        ({"model.queries": 49, "model.weights": "hustvl/yolos-small"}, "no queries to choose"),
        ({"model.queries": 49, "model.name": "ssdlite", "strategies": ["prune"]}, "ssdlite has no queries"),
    ],
)
def test_queries_are_a_square_number_of_a_yolos_that_brings_none(changes, said):
    assert read("yolos", None, {"model.queries": 36}).model.queries == 36
    with pytest.raises(UserError, match=said):
        read("yolos", None, changes)


@pytest.mark.parametrize("preset", ["photographs", "photographs-yolos", "smoke"])
def test_no_weights_can_be_asked_for_whatever_the_preset_has(preset, tmp_path):
    assert read(preset, None, {"model.weights": "none", "data.source": "coco:x"}).model.weights is None
    path = tmp_path / "mine.toml"
    path.write_text(f'base = "{preset}"\nname = "mine"\n[model]\nweights = "none"\n')
    assert read("", path, {}).model.weights is None


@pytest.mark.parametrize("preset", presets())
def test_every_preset_trains_long_enough_where_classes_or_all_weights_are_new(preset):
    options = read(preset, None, {}).strategy
    for start in ("new classes", "scratch"):
        (part,) = parts("baseline", {"baseline": {**options["baseline"], "start": start}})
        assert part.strategy.scheduled().learning_rate >= 5e-5
        assert part.strategy.scheduled().epochs > 1


def test_a_mistake_in_a_schedule_is_found_before_the_run():
    with pytest.raises(UserError, match=r"strategy baseline\.new_classes: unknown option 'epoch'.*'epochs'"):
        read("smoke", None, {"strategy.baseline.new_classes.epoch": 3})
    spec = read("smoke", None, {"strategy.baseline.new_classes.rate": 0.5})  # by its older name
    assert spec.strategy["baseline"]["new_classes"] == {"learning_rate": 0.5}


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without")
def test_a_gpu_that_is_not_there_is_said_before_anything_starts():
    assert read("smoke", None, {"device": "cpu"}).device == "cpu"
    with pytest.raises(UserError, match="no CUDA device"):
        read("smoke", None, {"device": "cuda"})
    with pytest.raises(UserError, match="device"):
        read("smoke", None, {"device": "tpu"})


def test_budgets_of_both_units_and_the_learned_gate_are_accepted():
    changes = {"measure.budgets": ["3ms", "1.5 GFLOPs"], "strategy.early_exit.criteria": ["learned", "margin"]}
    spec = read("smoke", None, changes)
    assert spec.measure.budgets == ("3ms", "1.5 GFLOPs")


def test_a_table_in_a_strategys_table_is_a_variant_of_it(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(
        """
        name = "two"
        strategies = ["early_exit", "early_exit.late", "early_exit.late+quant.few"]
        [strategy.early_exit]
        epochs = 8
        [strategy.early_exit.late]
        after = [10, 12]
        [strategy.quant.few]
        images = 20
        """
    )
    spec = read("default", path, {})
    assert spec.strategy["early_exit"] == {"epochs": 8, "late": {"after": [10, 12]}}
    assert RunSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"strategies": ["erly_exit"]}, "did you mean 'early_exit'"),
        ({"runtimes": ["onnx"]}, "unknown runtime 'onnx'"),
        ({"runtimes": ["eager"]}, "'eager' has no int8 kernels"),
        ({"threads": 0}, "threads.*greater than or equal to 1"),
        ({"seed": -1}, "seed"),
        ({"batch_size": 1}, r"batch_size: 1 image at once, and SSDLite learns from 2 or more"),
        ({"batch": 1}, r"batch_size: 1 image at once"),
        ({"name": "f\udcc3\udcbcr"}, r"name: .*LC_ALL=C\.UTF-8"),
        ({"name": "a/b"}, "name"),
        ({"model.weights": "nothing.pth"}, "no such weights file"),
        ({"strategy.prune.ratio": 3}, "did you mean 'ratios'"),
        ({"strategy.early_exit.criteria": ["max_scor"]}, "did you mean 'max_score'"),
        ({"strategy.early_exit.criteria": ["lerned"]}, "did you mean 'learned'"),
        ({"strategies": ["early_exit.late"]}, r"no variant 'late' .*\[strategy\.early_exit\.late\]"),
        ({"strategies": ["prune.a"], "strategy.prune.a.ratio": 1}, r"strategy prune\.a: .*did you mean 'ratios'"),
        ({"controls": ["longer.x"], "strategy.longer.y.epochs": 1}, "unknown variant 'x'"),
        ({"strategies": ["early_exit.a"], "strategy.early_exit.a.criteria": ["max_scor"]}, "did you mean 'max_score'"),
        (
            {"strategies": ["quant.a"], "strategy.quant.a.images": 9, "runtimes": ["eager"]},
            "'eager' has no int8 kernels",
        ),
        ({"strategies": ["baseline.b"], "strategy.baseline.b.epochs": 1}, "a run has one baseline"),
        ({"measure.budgets": ["3ms", "fast"]}, "'fast' is no budget"),
        ({"measure.budgets": ["0ms"]}, "'0ms' is no budget"),
        ({"measure.risks": [0.0]}, r"measure\.risks.*greater than 0"),
        ({"measure.risks": [1.0]}, r"measure\.risks.*less than 1"),
        ({"measure.delta": 0}, r"measure\.delta.*greater than 0"),
        ({"measure.delta": 1}, r"measure\.delta.*less than 1"),
        ({"measure.cost": "joules"}, r"measure\.cost"),
        ({"measure.gate_images": 0}, r"measure\.gate_images"),
    ],
)
def test_mistakes_are_found_before_the_run(overrides, message):
    with pytest.raises(UserError, match=message):
        read("smoke", None, overrides)


def test_an_unknown_preset_gets_a_suggestion():
    with pytest.raises(UserError, match="did you mean 'smoke'"):
        read("smok", None, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not TOML"),
        ('name = "x"\nstrategy_names = []', "strategy_names"),
        ("seed = 1", "name: Field required"),
    ],
)
def test_broken_files(tmp_path, text, message):
    path = tmp_path / "spec.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read("default", path, {})


def test_a_missing_file():
    with pytest.raises(UserError, match="there is no such file"):
        read("default", Path("nothing.toml"), {})


def test_a_file_has_its_bases_settings_where_it_says_nothing_else(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('base = "smoke"\nname = "mine"\n[strategy.early_exit]\nepochs = 7\n')
    mine, base = read("default", file, {}), read("smoke", None, {})
    assert (mine.name, mine.data, mine.measure) == ("mine", base.data, base.measure)
    assert mine.strategy["early_exit"] == base.strategy["early_exit"] | {"epochs": 7}
    file.write_text('base = "smok"\nname = "mine"\n')
    with pytest.raises(UserError, match="did you mean 'smoke'"):
        read("default", file, {})


@pytest.mark.parametrize(
    ("model", "data", "expected"),
    [
        (None, None, "default"),
        (None, "shapes", "default"),
        (None, "coco:x", "photographs"),
        ("ssdlite", "coco:x", "photographs"),
        ("yolos", None, "yolos"),
        ("yolos-small", "coco:x", "photographs-yolos"),
    ],
)
def test_the_preset_follows_model_and_data(model, data, expected):
    assert default_preset(model, data) == expected


def test_a_preset_for_an_unknown_model_is_a_suggestion():
    with pytest.raises(UserError, match=r"--model: unknown model 'yolo' .*did you mean 'yolos'"):
        default_preset("yolo", "coco:x")


@dataclass(frozen=True)
class Narrow:
    """Another package's way to int8, under a name of its own."""

    precisions: ClassVar[frozenset[str]] = frozenset({"int8"})

    def apply(self, start, *, fit, score, train, val, seed):
        return []


@dataclass(frozen=True)
class Plain:
    """Another package's strategy that says nothing of precisions."""

    def apply(self, start, *, fit, score, train, val, seed):
        return []


@pytest.mark.parametrize("name", ["narrow", "plain+narrow", "narrow.x"])
def test_a_strategy_of_any_name_that_makes_int8_needs_a_runtime_for_it(monkeypatch, name):
    bring(monkeypatch, STRATEGIES, narrow=Narrow, plain=Plain)
    changes = {"strategies": [name], "controls": ["plain"], "strategy.narrow.x": {}}
    with pytest.raises(UserError, match="'eager' has no int8 kernels"):
        read("smoke", None, changes | {"runtimes": ["eager"]})
    assert read("smoke", None, changes | {"runtimes": ["eager", "openvino"]}).strategies == (name,)
    assert read("smoke", None, {"strategies": ["plain"], "controls": [], "runtimes": ["eager"]}).runtimes == ("eager",)


def test_what_a_run_is_can_be_read_without_torch():
    code = "import sys, bench.spec; print([name for name in ('torch', 'numba', 'scipy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


ROOT = Path(__file__).parents[2]
OLDER = {  # today's key -> the one before, by the table that it is in
    "": {"batch_size": "batch"},
    "data": {"max_images_per_class": "cap"},
    "measure": {"rl_policies": "agents", "batch_size": "batch"},
    "strategy": {
        "auxiliary_losses": "lessons",
        "augmentations": "views",
        "joint_learning_rate": "joint_rate",
        "layer_decay": "decay",
        "learning_rate": "rate",
        "pretrained_lr_scale": "inherited_rate",
        "previous_exit_context": "context",
        "trunk_lr_scale": "trunk_rate",
    },
}
ALL_RENAMED = {
    "name": "x",
    "batch_size": 3,
    "data": {"source": "coco:x", "max_images_per_class": 4},
    "measure": {"rl_policies": ["ucb"], "batch_size": 2},
    "strategy": {
        "baseline": {"learning_rate": 1.0, "trunk_lr_scale": 0.5, "layer_decay": 0.9, "auxiliary_losses": {"every": 0}},
        "early_exit": {"augmentations": 2, "late": {"joint_learning_rate": 1.0, "pretrained_lr_scale": 0.1}},
        "early_exit+quant": {},
        "multi_exit_yolos": {"layer_decay": 0.5, "a.b": {"augmentations": 1}},
    },
}


def as_before(table: dict, names: dict[str, str], top: bool = True) -> dict:
    """A spec with today's keys written as they were before."""
    return {
        names.get(key, key): as_before(value, OLDER.get(key, {}) if top else names, False)
        if isinstance(value, dict)
        else value
        for key, value in table.items()
    }


def test_every_renamed_key_is_known_by_its_older_name():
    older = as_before(ALL_RENAMED, OLDER[""])
    known = str(older)
    assert all(f"'{old}'" in known for names in OLDER.values() for old in names.values() if old != "context")
    assert RunSpec.model_validate(older) == RunSpec.model_validate(ALL_RENAMED)
    assert RunSpec.model_validate(older).model_dump(mode="json")["strategy"] == ALL_RENAMED["strategy"]


@pytest.mark.parametrize("path", sorted(ROOT.glob("results/reference/*/spec.json")), ids=lambda path: path.parent.name)
def test_specs_of_committed_runs_are_read(path):
    stored = json.loads(path.read_text())
    assert "batch" in stored
    spec = RunSpec.model_validate_json(path.read_text())
    assert spec.batch_size == stored["batch"]
    assert spec.strategy["baseline"].get("learning_rate") == stored["strategy"]["baseline"].get("rate")
    assert RunSpec.model_validate_json(spec.model_dump_json()) == spec
    for part in (*spec.strategies, *spec.strategy):
        assert parts(part, spec.strategy) == parts(part, stored["strategy"])


@pytest.mark.parametrize("path", sorted(ROOT.glob("results/studies/*.toml")), ids=lambda path: path.stem)
def test_studies_are_read_under_older_names_too(tmp_path, path):
    table = read_toml(path)
    (tmp_path / path.name).write_text(toml(as_before(table, OLDER[""])))
    weights = {"model.weights": None}
    assert read("", tmp_path / path.name, weights) == read("", path, weights)


def toml(table: dict, within: str = "") -> str:
    """TOML of text, numbers, truth values, lists and tables, whose values JSON writes alike."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, dict)]
    for key, value in table.items():
        if isinstance(value, dict):
            lines += [f"[{within}{key}]", toml(value, f"{within}{key}.")]
    return "\n".join(lines)


def test_a_key_under_both_its_names_is_refused(tmp_path):
    with pytest.raises(UserError, match="data: max_images_per_class is given twice"):
        RunSpec.model_validate({"name": "x", "data": {"cap": 1, "max_images_per_class": 1}})
    file = tmp_path / "mine.toml"
    file.write_text('base = "smoke"\nname = "mine"\n[strategy.prune.a]\nrate = 1\nlearning_rate = 1\n')
    with pytest.raises(UserError, match=r"strategy\.prune\.a: learning_rate is given twice"):
        read("", file, {})


def test_an_older_key_goes_before_what_it_stands_over(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('base = "default"\nname = "mine"\nbatch = 5\n[strategy.early_exit]\njoint_rate = 0.25\n')
    spec = read("", file, {"strategy.prune.rate": 0.5})
    assert (spec.batch_size, spec.strategy["early_exit"]["joint_learning_rate"]) == (5, 0.25)
    assert spec.strategy["prune"]["learning_rate"] == 0.5


def test_a_strategy_that_others_bring_keeps_its_options(monkeypatch):
    @dataclass(frozen=True)
    class Rated(Plain):
        rate: float = 1.0

    bring(monkeypatch, STRATEGIES, rated=Rated)
    table = {"name": "x", "strategies": ["rated"], "strategy": {"rated": {"rate": 2.0}}}
    assert parts("rated", RunSpec.model_validate(table).strategy)[0].strategy == Rated(2.0)
