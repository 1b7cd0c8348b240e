"""A folder of somebody's own images, of two classes that the weights lack, goes to a verdict; and what was repaired
after a run is measured anew without being trained again."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

import bench
from bench.data.spec import load
from bench.train.batches import Batches
from bench.train.fit import Trainer
from models.errors import UserError
from models.ssdlite import network
from models.ssdlite.weights import stock
from strategies.base import plain_objective
from tests.support.hardware import NAMES, hardware

pytestmark = pytest.mark.slow
SIZE = 96
SPEC = f"""
base = "photographs"
strategies = ["early_exit"]
controls = []
runtimes = ["eager"]
threads = 1
[model]
size = {SIZE}
[measure]
images = 4
repeats = 1
resamples = 100
risks = []
[strategy.early_exit]
epochs = 4
widths = [32, 32]
criteria = ["max_score"]
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A state dict of torchvision's network for four classes, two of which were seen on another workbench."""
    folder = tmp_path_factory.mktemp("weights")
    data = load(str(hardware(folder / "data", images=150, seed=9)), split="90/5/5")
    torch.manual_seed(0)
    model = stock(1 + 4)
    detector = network.assemble(model, ("screw", "washer", "nail", "hook"), SIZE, made_for=network.STOCK_SIZE)
    fit = Trainer(Batches(data.train, SIZE), data.train.hash, folder / "checkpoints", 16, 0)
    fit(detector, name="weights", objective=plain_objective, epochs=24, learning_rate=2e-3)
    torch.save({"model": model.state_dict(), "epoch": 24}, folder / "weights.pth")
    return folder / "weights.pth"


@pytest.fixture(scope="module")
def spec(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "own.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return hardware(tmp_path_factory.mktemp("own") / "workbench")


@pytest.fixture(scope="module")
def run(weights, spec, images, tmp_path_factory) -> bench.Run:
    out = tmp_path_factory.mktemp("runs")
    return bench.run(spec=spec, data=str(images), split="60/20/20", weights=weights, name="own", out=out)


def test_new_classes_are_learned_and_there_is_a_verdict(run):
    (baseline,) = [record for record in run.records if record.strategy == "baseline"]
    assert baseline.map50 > 0.3
    assert baseline.variant == "trained"
    assert any(record.strategy == "early_exit" for record in run.records)
    assert run.verdict.sentence


def test_the_manifest_says_how_the_splits_were_dealt(run):
    stored = json.loads((run.folder / "splits.json").read_text())
    assert stored["classes"] == list(NAMES)
    assert stored["reading"]["split"] == {"shares": [0.6, 0.2, 0.2], "by": "image", "seed": 0}
    assert [len(split["ids"]) for split in stored["splits"]] == [36, 12, 12]
    names = [name for split in stored["splits"] for name in split["names"]]
    assert sorted(names) == [f"img_{number:03d}.jpg" for number in range(60)]


def test_repaired_test_images_cost_no_training(run, weights, spec, images, monkeypatch):
    said = Console(file=io.StringIO(), width=200)
    monkeypatch.setattr("bench.pipeline.console", said)
    before = {path.name: path.stat().st_mtime_ns for path in (run.folder / "checkpoints").iterdir()}
    stored = json.loads((run.folder / "splits.json").read_text())
    labels = images / "labels" / Path(stored["splits"][2]["names"][0]).with_suffix(".txt")
    labels.write_text(labels.read_text() + "1 0.05 0.05 0.05 0.05\n")
    again = bench.run(
        spec=spec, data=str(images), split="60/20/20", weights=weights, name="own", out=run.folder.parent, resume=True
    )
    assert {path.name: path.stat().st_mtime_ns for path in (run.folder / "checkpoints").iterdir()} == before
    assert "test is not what this run was started on" in said.file.getvalue()
    assert {record.split_hash for record in again.records}.isdisjoint({record.split_hash for record in run.records})


def test_other_training_images_are_another_run(run, weights, spec, images):
    stored = json.loads((run.folder / "splits.json").read_text())
    path = images / "images" / stored["splits"][0]["names"][0]
    Image.fromarray(np.asarray(Image.open(path)) // 2).save(path)
    with pytest.raises(UserError, match="split is not the one in the manifest"):
        bench.run(
            spec=spec,
            data=str(images),
            split="60/20/20",
            weights=weights,
            name="own",
            out=run.folder.parent,
            resume=True,
        )


def test_stock_weights_learn_new_classes(shared, images, tmp_path):
    file = shared / "weights" / "ssdlite320_mobilenet_v3_large_coco.pth"
    options = {"controls": [], "measure.images": 4, "measure.repeats": 1, "measure.resamples": 100}
    run = bench.run(
        "", data=str(images), split="60/20/20", weights=file, runtime="eager", threads=1, name="own", out=tmp_path,
        options=options,
    )  # fmt: skip
    assert run.records[0].map50 > 0.3
