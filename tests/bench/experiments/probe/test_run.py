"""A probe from end to end at toy size, its report, and the mistakes that can be made."""

import json

import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from bench.experiments.probe.commands import numbers, probe_command
from bench.experiments.probe.linear_figure import linear_figure
from bench.experiments.probe.report import page
from bench.experiments.probe.result import FILE, Focus, Linear, Position, Probe, Separation, Settings
from bench.experiments.probe.run import positions, probe_into
from bench.experiments.probe.target import UNTRAINED, ProbeTarget, from_run, from_weights
from bench.experiments.stored import load
from bench.pipeline import apply_strategy, initial_candidate, open_data
from bench.records import environment
from bench.report.formats import markdown
from bench.spec import read
from bench.train.batches import Batches
from bench.train.fit import Trainer, weights_hash
from models.errors import UserError
from models.ssdlite.network import ssdlite
from models.yolos.network import scratch
from tests.support.small import data

SETTINGS = Settings(images=6, train=8, epochs=1, augmentations=1, batch_size=4, resamples=100)


def position(after: int, ap50: float, apart: bool = True) -> Position:
    focus = Focus(entropy=0.9, inside=0.3, area=0.2, lift=1.5, lift_interval=(1.2, 1.8), blind=1.1)
    separation = Separation(tokens=80, images=10, auc=0.8, interval=(0.7, 0.9), place=0.6, explained=(0.4, 0.1))
    linear = Linear(map=ap50 / 2, map50=ap50, map_interval=(0, ap50), map50_interval=(ap50 / 2, ap50))
    return Position(
        after=after, side=8, channels=16, focus=focus, separation=separation if apart else None, linear=linear
    )


def found(control: tuple[Position, ...] = ()) -> Probe:
    return Probe(
        model="yolos",
        source="FILE",
        weights_hash="0" * 64,
        size=128,
        unit="layer",
        data="shapes",
        classes=tuple("abcdefghij"),
        splits={"train": "a" * 64, "val": "b" * 64},
        images=20,
        train_images=40,
        val_images=30,
        seed=0,
        settings=SETTINGS,
        positions=(position(3, 0.25), position(6, 0.3, apart=False)),
        control=control,
        answers=("feasible", "not clear"),
        sentences=("layer 3: so", "layer 6: so"),
        environment=environment(1),
    )


def test_the_report_has_a_row_a_position_and_the_rule():
    text = markdown(page(found((position(3, 0.01),))))
    assert text.startswith("layer 3: so")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| layer 3", "| layer 6", "| untrained 3"]
    assert "0.250 [0.125, 0.250]" in rows[2]
    assert "| - | - |" in rows[3]
    assert "and 2 more" in text


def test_the_figure_draws_intervals_and_the_rule():
    (axes,) = linear_figure(found((position(3, 0.01), position(6, 0.02)))).axes
    named = axes.get_legend_handles_labels()[1]
    assert {"AP50", "mAP", "AP50, untrained trunk"} <= set(named)
    assert {text.get_text() for text in axes.texts} == {"feasible > 0.20", "feasible > 0.40"}


def test_positions_must_be_there_and_increase():
    small, large = scratch(("a",), 64), ssdlite(("a",), 64)
    assert positions(small, None) == (3, 6, 9, 12)
    assert positions(large, None) == (6, 8, 10, 12, 14, 16)
    assert positions(small, [1, 12]) == (1, 12)
    for detector, wrong in ((small, [0]), (small, [6, 3]), (small, [3, 3]), (small, [13]), (large, [5]), (large, [17])):
        with pytest.raises(UserError, match=r"--after: no such positions"):
            positions(detector, wrong)


def test_positions_are_whole_numbers():
    assert numbers(None) is None
    assert numbers("3, 6") == [3, 6]
    with pytest.raises(UserError, match="no list of whole numbers"):
        numbers("3,x")


def test_what_cannot_be_probed_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match=r"spec\.json: there is no such file \(start one with bench run\)"):
        from_run(tmp_path)
    (tmp_path / "spec.json").write_text(read("smoke", None, {}).model_dump_json())
    with pytest.raises(UserError, match="no trained baseline"):
        from_run(tmp_path)
    with pytest.raises(UserError, match="no such weights file"):
        from_weights("ssdlite", "nothing.pth", "coco:/nowhere", None, None, 0)
    with pytest.raises(UserError, match="unknown model"):
        from_weights("ssdlit", None, "shapes", None, 64, 0)


def test_a_run_says_itself_what_it_is_of(tmp_path):
    app = typer.Typer()
    app.command()(probe_command)
    done = CliRunner().invoke(app, ["--trained", str(tmp_path), "--model", "yolos"])
    assert isinstance(done.exception, UserError)
    assert "--model: the run says it" in str(done.exception)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make_one", "source", "after"),
    [(ssdlite, "made", (8, 14)), (scratch, UNTRAINED, (3, 6))],
    ids=["ssdlite", "yolos"],
)
def test_a_probe_at_toy_size(tmp_path, make_one, source, after):
    torch.manual_seed(0)
    split = data(train=10, val=8)
    target = ProbeTarget("toy", source, make_one(split.classes, 64).eval(), split, seed=0)
    given = probe_into(target, after, SETTINGS, tmp_path, threads=1)
    assert load(Probe, tmp_path / FILE) == given
    assert [one.after for one in given.positions] == list(after)
    assert len(given.control) == (0 if source == UNTRAINED else len(given.positions))
    assert (given.images, given.train_images, given.val_images) == (6, 8, 8)
    assert (tmp_path / "probe.md").read_text().startswith(given.sentences[0])
    for name in ("attention", "tokens", "linear"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 300
    again = probe_into(target, after, SETTINGS, tmp_path, threads=1)
    assert again.positions == given.positions
    assert list(tmp_path.glob("checkpoints/probe-*.safetensors"))


@pytest.mark.slow
def test_the_baseline_of_a_run_is_found(tmp_path):
    changes = {"data.sizes": [16, 4, 4], "model.size": 64, "threads": 1, "strategy.baseline.epochs": 1}
    spec = read("smoke", None, changes)
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    split = open_data(spec.data, tmp_path, size=64, seed=spec.seed)
    trainer = Trainer(Batches(split.train, 64), split.train.hash, tmp_path / "checkpoints", spec.batch_size, spec.seed)
    initial = initial_candidate(spec.model, split.classes, spec.seed)
    trained = apply_strategy("baseline", initial, spec.strategy, split, trainer, None, spec.seed)[-1].detector
    target = from_run(tmp_path)
    assert weights_hash(target.detector) == weights_hash(trained)
    assert target.data.val.hash == json.loads((tmp_path / "splits.json").read_text())["splits"][1]["hash"]
    assert target.source == f"baseline of {tmp_path.name}"
