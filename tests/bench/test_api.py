"""The door in Python: instant to open, says the same as the command line, and a run behind it is what lies on disk."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

import bench
from bench import cli
from bench.experiments.positions.run import scan_into
from bench.judge.verdict import verdict
from bench.records import load_records
from bench.study.sweep import sweeps
from bench.train.fit import weights_hash
from models.errors import UserError
from models.families import build
from models.registry import Registry
from models.ssdlite.weights import stock
from tests.support.stored import stored_run

REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference" / "coco-person"
TINY = {
    "data.sizes": [16, 4, 6],
    "model.size": 64,
    "measure.images": 3,
    "measure.repeats": 1,
    "measure.warmup": 1,
    "measure.resamples": 100,
    "strategy.baseline.epochs": 1,
}


@pytest.fixture(scope="module")
def reference():
    return bench.load_run(REFERENCE)


@pytest.fixture(scope="module")
def detector():
    """Trained for a while, in a way that nothing knows of."""
    from bench.data.shapes import CLASSES

    torch.manual_seed(5)
    return build("ssdlite", CLASSES, 64, None)


@pytest.fixture(scope="module")
def given(tmp_path_factory, detector):
    """A run whose baseline was handed over in memory."""
    options = {key: value for key, value in TINY.items() if not key.startswith(("model", "strategy"))}
    asked = {"preset": "smoke", "runtime": "eager", "threads": 1, "options": options}
    return bench.run([], out=tmp_path_factory.mktemp("runs"), detector=detector, name="given", **asked)


def test_the_door_opens_at_once():
    code = "import time; t = time.perf_counter(); import bench; print(time.perf_counter() - t)\n"
    code += "import sys; print(sorted({'torch', 'numpy', 'pydantic'} & sys.modules.keys()))"
    printed = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
        for _ in range(3)
    ]
    assert min(float(seconds) for seconds, _ in printed) < 0.2
    assert {loaded for _, loaded in printed} == {"[]"}


def test_run_is_a_function_whatever_was_imported_before():
    for module in ("bench.experiments.positions.run", "bench.pipeline"):
        import_module(module)
    assert callable(bench.run)
    assert {"run", "load_run", "Run", "UserError"} <= set(dir(bench))
    assert bench.UserError is UserError
    with pytest.raises(AttributeError, match="no attribute 'rum'"):
        _ = bench.rum


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("STRATEGIES", "early_exit"),
        ("RUNTIMES", "openvino"),
        ("FAMILIES", "yolos"),
        ("CRITERIA", "max_score"),
        ("READERS", "coco"),
    ],
)
def test_what_is_found_by_name_can_be_added_to(name, ours):
    assert isinstance(getattr(bench, name), Registry)
    assert ours in getattr(bench, name)


def test_a_stored_run_is_what_lies_in_its_folder(reference):
    stored = load_records(REFERENCE)
    assert list(reference.records) == stored
    assert reference.verdict == verdict(stored)
    assert reference.spec.name == json.loads((REFERENCE / "spec.json").read_text())["name"]
    assert bench.load_run("coco-person", out=REFERENCE.parent).folder == REFERENCE
    with pytest.raises(UserError, match="no such run"):
        bench.load_run("coco-persom", out=REFERENCE.parent)


def test_a_run_in_a_notebook_is_a_table_and_the_verdict(reference):
    assert repr(reference) == f"<Run {REFERENCE}: {len(reference.records)} records>"
    shown = reference._repr_markdown_()
    assert shown.startswith("| F % | name |")
    assert reference.verdict.sentence in shown


def test_a_data_frame_has_a_row_for_each_record(reference):
    table = reference.to_pandas()
    assert table["name"].tolist() == [record.name for record in reference.records]
    assert table["latency_ms.mean"].tolist() == [record.latency_ms.mean for record in reference.records]
    assert table["environment.libraries.torch"].nunique() == 1
    for row, record in zip(table.to_dict("records"), reference.records, strict=True):
        assert row["operating_point.name"] == record.operating_point.name
        drawn = record.random_exits
        assert row["random_exits.mean"] == drawn.mean if drawn else row["random_exits.mean"] != row["random_exits.mean"]
    assert not any(isinstance(value, (list, dict)) for column in table for value in table[column])
    assert not {"throughput", "random_exits", "execution", "chain_overhead"} & set(table)


def test_without_pandas_it_says_what_to_install(reference, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match=r"pip install 'exitbench\[pandas\]'"):
        reference.to_pandas()


@pytest.mark.slow
def test_the_figure_is_drawn_and_written(reference, tmp_path):
    figure = reference.pareto(tmp_path / "front.png")
    assert [axes.get_xlabel()[:7] for axes in figure.axes] == ["mean ms", "mean MF"]
    assert (tmp_path / "front.png").stat().st_size > 10_000
    assert list(tmp_path.iterdir()) == [tmp_path / "front.png"]
    assert reference.pareto().get_size_inches().tolist() == [16, 8]


def test_a_sweep_is_what_the_command_prints(tmp_path):
    run = bench.load_run(stored_run(tmp_path, val=20, test=20, resamples=100))
    (found,) = run.sweep(budget="2.5ms", tolerance=0.05, criteria="max_score")
    assert (found,) == tuple(sweeps(run.folder, budgets=["2.5ms"], tolerances=[0.05], criteria=["max_score"]))
    assert {p.name for p in found.points if p.kind in ("tolerance", "budget")} == {"tol5", "within2.5ms"}
    with pytest.raises(UserError, match="no budget"):
        run.sweep(budget="3kg")


@pytest.mark.parametrize(
    ("asked", "passed"),
    [
        ({}, {}),
        ({"budget": "3ms, 2ms", "tolerance": 0}, {"budgets": ["3ms", "2ms"], "tolerances": [0]}),
        ({"budget": ("3ms",), "tolerance": [0.1, 0.2]}, {"budgets": ["3ms"], "tolerances": [0.1, 0.2]}),
        ({"criteria": ["margin"], "cost": "flops"}, {"criteria": ["margin"], "cost": "flops"}),
        ({"detector": "mine"}, {"detector": "mine"}),
    ],
)
def test_a_sweep_takes_one_or_several(reference, monkeypatch, asked, passed):
    found = []
    monkeypatch.setattr("bench.study.sweep.sweeps", lambda folder, **how: found.append((folder, how)))
    reference.sweep(**asked)
    nothing = {"cost": None, "budgets": (), "tolerances": [], "criteria": None, "detector": None}
    assert found == [(REFERENCE, nothing | passed)]


def test_a_run_compared_with_itself_has_not_changed(reference):
    for other in (REFERENCE, str(REFERENCE), reference):
        found = reference.compare(other)
        assert {change.name for change in found.changes} == {record.name for record in reference.records}
        assert {change.map.value for change in found.changes} == {0.0}
        assert {change.time.value for change in found.changes} == {1.0}


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("", {}),
        ("--preset smoke --threads 1", {"preset": "smoke", "threads": 1}),
        (
            "--model yolos --strategies multi_exit_yolos,prune --runtime eager,openvino --seed 3 --name mine",
            {
                "model": "yolos",
                "strategies": ["multi_exit_yolos", "prune"],
                "runtime": ("eager", "openvino"),
                "seed": 3,
                "name": "mine",
            },
        ),
        (
            "--data coco:DIR --classes person,cat --cap 20 --weights {file}",
            {"data": "coco:DIR", "classes": "person, cat", "max_images_per_class": 20, "weights": "{file}"},
        ),
        ("--data coco:DIR --weights none", {"data": "coco:DIR", "weights": "none"}),
        ("--data coco:DIR --max-images-per-class 20", {"data": "coco:DIR", "max_images_per_class": 20}),
        ("--spec {spec} --force --resume", {"spec": "{spec}", "force": True, "resume": True}),
    ],
)
def test_the_command_and_the_door_ask_for_the_same_run(monkeypatch, tmp_path, command, arguments):
    asked = []

    def carry_out(spec, folder, **how):
        asked.append((spec, folder, how))
        raise UserError("far enough")

    path, weights = tmp_path / "own.toml", tmp_path / "own.pth"
    path.write_text('base = "smoke"\nname = "own"\n')
    torch.save(stock(3).state_dict(), weights)
    monkeypatch.setattr("bench.pipeline.run", carry_out)
    monkeypatch.setattr(sys, "argv", ["bench", "run", *command.format(file=weights, spec=path).split()])
    with pytest.raises(SystemExit):
        cli.main()
    places = {"spec": path, "weights": weights}
    own = {key: places[key] if str(value).startswith("{") else value for key, value in arguments.items()}
    with pytest.raises(UserError, match="far enough"):
        bench.run(**own)
    assert len(asked) == 2
    assert asked[0] == asked[1]


def test_any_setting_can_be_given_by_its_name(monkeypatch):
    asked = []
    monkeypatch.setattr("bench.pipeline.run", lambda spec, folder, **how: asked.append(spec))
    monkeypatch.setattr("bench.api.load_run", lambda folder: folder)
    folder = bench.run(preset="smoke", options={"measure.images": 50, "seed": 1}, seed=2, out="there")
    assert (asked[0].measure.images, asked[0].seed, folder) == (50, 2, Path("there/smoke"))
    older = {"strategy.early_exit.views": 3, "batch": 4}
    bench.run(preset="smoke", options=older)
    assert (asked[1].strategy["early_exit"]["augmentations"], asked[1].batch_size) == (3, 4)
    with pytest.raises(UserError, match="imagse"):
        bench.run(preset="smoke", options={"measure.imagse": 50})


@pytest.mark.slow
def test_a_detector_in_memory_is_the_baseline_as_it_is(given, detector):
    (record,) = given.records
    assert (record.strategy, record.variant) == ("baseline", "loaded")
    assert record.weights_hash == weights_hash(detector)
    assert record.audit["made"] == "weights in memory, untouched"
    assert not list((given.folder / "checkpoints").glob("*"))
    assert (given.spec.model.name, given.spec.model.size) == ("ssdlite", 64)
    assert given.spec.model.weights == f"in memory, sha256 {weights_hash(detector)}"
    assert given.spec.strategy["baseline"]["epochs"] == 0


@pytest.mark.slow
def test_what_was_in_memory_is_not_made_up_again(given, detector, monkeypatch, capsys):
    from bench.pipeline import run

    with pytest.raises(UserError, match=r"was in memory.*give it again from Python"):
        run(given.spec, given.folder, resume=True)
    with pytest.raises(UserError, match="was in memory"):
        scan_into(given.folder, {})
    command = ["bench", "run", "--preset", "smoke", "--strategies", "prune", "--name", "given", "--resume"]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(given.folder.parent)])
    with pytest.raises(SystemExit):
        cli.main()
    assert "other settings" in capsys.readouterr().err
    other = detector.clone()
    next(other.parameters()).data.add_(1)
    with pytest.raises(UserError, match="not the model, size and weights"):
        run(given.spec, given.folder, resume=True, detector=other)
    found = run(given.spec, given.folder, resume=True, detector=detector)
    assert [one.weights_hash for one in found] == [weights_hash(detector)]


def test_a_detector_that_does_not_fit_is_refused(detector, tmp_path):
    from models.ssdlite.exits import add_exits

    small = {"preset": "smoke", "options": {"data.sizes": [4, 2, 2]}, "out": tmp_path, "threads": 1}
    other = build("ssdlite", ("cat",), 64, None)
    with pytest.raises(UserError, match="it detects cat, but the data has"):
        bench.run([], detector=other, **small)
    with pytest.raises(UserError, match="the baseline has 2 exits"):
        bench.run([], detector=add_exits(detector, (8,), (16,)), **small)
    with pytest.raises(UserError, match="brings its weights"):
        bench.run([], detector=detector, weights="mine.pth", **small)
    with pytest.raises(UserError, match="brings its queries"):
        bench.run([], detector=detector, **small | {"options": {"model.queries": 49}})
    with pytest.raises(UserError, match="it is for yolos, not for ssdlite"):
        bench.run("multi_exit_yolos", detector=detector, **small)
