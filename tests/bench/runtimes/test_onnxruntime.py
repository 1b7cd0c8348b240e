"""ONNX Runtime answers as eager PyTorch does, runs no stage after the exit taken, and int8 is really int8."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import bench.runtimes.onnxruntime as module
from bench.data.images import Arrays
from bench.data.split import Example, Split
from bench.exits.policy import Policy, static
from bench.measure.exit_table import exit_table
from bench.runtimes import Deployed, deploy
from models.detector import Detector
from models.errors import UserError
from models.pixels import CENTRED, resize
from models.ssdlite.exits import add_exits
from models.ssdlite.network import ssdlite
from strategies.base import Candidate

pytestmark = pytest.mark.slow

PICTURES = [np.random.default_rng(i).integers(0, 256, (90, 120, 3), dtype=np.uint8) for i in range(6)]


def toy() -> Detector:
    torch.manual_seed(0)
    detector = add_exits(ssdlite(("a", "b"), 96), (8, 12), (16, 24))
    for layer in detector.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    return detector.eval()


def on_onnxruntime(candidate: Candidate, folder: Path) -> Deployed:
    return Deployed(candidate, "onnxruntime", module.build(candidate, threads=1, folder=folder))


def int8(detector: Detector) -> Candidate:
    return Candidate("quant", "int8", detector, precision="int8", calibration=tuple(PICTURES))


@pytest.fixture(scope="module")
def deployed(tmp_path_factory) -> Deployed:
    candidate = Candidate("early_exit", "b8-12", toy(), criteria=("max_score",))
    return on_onnxruntime(candidate, tmp_path_factory.mktemp("onnxruntime") / "x")


@pytest.mark.parametrize("exit", range(3))
def test_every_exit_agrees_with_the_detector_itself(deployed, exit):
    detector = deployed.candidate.detector
    for picture in PICTURES[:3]:
        with torch.inference_mode():
            raw = detector(detector.to_input(picture))[exit]
            expected = detector.detections(detector.probabilities(raw)[0], raw[1][0]).scaled(120, 90)
        answer = deployed.detect(picture, static(exit, 3))
        assert answer.exit == exit
        assert len(answer.detections) == len(expected) > 0
        assert np.allclose(answer.detections.scores, expected.scores, atol=1e-3)
        for computed, wanted in zip(
            deployed.chain._outputs[exit][-2:], (detector.probabilities(raw), raw[1]), strict=True
        ):
            assert torch.allclose(computed, wanted, atol=1e-3)


@pytest.mark.parametrize("exit", range(3))
def test_a_skipped_stage_is_not_executed(deployed, exit):
    for outputs in deployed.chain._outputs:
        for output in outputs:
            output.fill_(-7.0)
    deployed.detect(PICTURES[1], static(exit, 3))
    untouched = [[bool((output == -7.0).all()) for output in outputs] for outputs in deployed.chain._outputs]
    assert not any(any(stage) for stage in untouched[: exit + 1])
    assert all(all(stage) for stage in untouched[exit + 1 :])


def test_a_stage_reads_what_the_one_before_wrote_in_place(deployed):
    chain = deployed.chain
    chain.start(torch.from_numpy(resize(PICTURES[0], 96))[None])
    chain.step(0)
    answers = []
    for scale in (1.0, 0.0):
        chain._outputs[0][0].mul_(scale)
        answers.append(chain.step(1)[0].clone())
    assert not torch.allclose(*answers, atol=1e-3)


def test_the_conditional_path_takes_the_exits_and_gives_the_answers_of_the_table(deployed):
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0, np.float32)
    examples = [Example(i, picture.shape[1], picture.shape[0], *none) for i, picture in enumerate(PICTURES)]
    table = exit_table(deployed, Split("test", ("person",), tuple(examples), Arrays(PICTURES)))
    scores = table.scores["max_score"]
    policy = Policy("max_score", tuple(float(np.sort(scores[:, k])[2:4].mean()) for k in range(2)))
    exits = policy.route(scores)
    assert len(set(exits)) > 1
    for index, picture in enumerate(PICTURES):
        answer = deployed.detect(picture, policy)
        assert answer.exit == exits[index]
        kept = table.detections[exits[index]][index]
        assert np.array_equal(answer.detections.scores, kept.scores)
        assert np.array_equal(answer.detections.boxes, kept.boxes)


def test_a_part_of_the_state_that_a_stage_does_not_use_may_be_left_out(tmp_path):
    class First(torch.nn.Module):
        def forward(self, x):
            return (x * 2, x + 1), (x[:, 0], x[:, 1])

    class Second(torch.nn.Module):
        def forward(self, unused, x):
            return (), (x[:, 0], x[:, 2])

    detector = Detector([First(), Second()], None, None, None, ("a",) * 3, 4, family="ssdlite")
    chain = module.build(Candidate("toy", "toy", detector.eval()), threads=1, folder=tmp_path).chain(1)
    pixels = torch.randint(0, 256, (1, 4, 4, 3), dtype=torch.uint8)
    chain.start(pixels)
    chain.step(0)
    assert torch.equal(chain.step(1)[1], CENTRED(pixels)[:, 2] + 1)


def test_int8_runs_int8_layers_stays_near_and_says_nothing(deployed, tmp_path, capfd):
    one = on_onnxruntime(int8(toy()), tmp_path)
    assert not capfd.readouterr().out
    counts, before = (deployed.artifact.audit["layers_by_precision"] for deployed in (one, deployed))
    assert before == {"f32": sum(isinstance(m, torch.nn.Conv2d) for m in deployed.candidate.detector.modules())}
    assert counts["i8"] > 20
    assert sum(counts.values()) == before["f32"]
    assert one.artifact.bytes == sum(file.stat().st_size for file in tmp_path.iterdir()) < deployed.artifact.bytes / 2
    for exit in range(3):
        for side in (one, deployed):
            side.detect(PICTURES[0], static(exit, 3))
        rough, exact = (side.chain._outputs[exit][-2].flatten() for side in (one, deployed))
        assert torch.corrcoef(torch.stack([rough, exact]))[0, 1] > 0.9


def test_int8_that_runs_in_fp32_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "quantize", lambda models, *_: models)
    with pytest.raises(UserError, match="no layer runs in int8"):
        deploy(int8(toy()), "onnxruntime", threads=1, folder=tmp_path)


def test_weights_are_seven_bits_where_the_cpu_would_saturate():
    class Only(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.look = torch.nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x):
            return (), (self.look(x)[:, 0], x[:, 1])

    model = module.convert(Detector([Only()], None, None, None, ("a",) * 3, 4, family="ssdlite").eval())[0]
    for narrow, widest in ((True, 64), (False, 127)):
        made = module.quantize_stage(model, [[PICTURES[0][None, :4, :4]]], narrow)
        weights = [onnx.numpy_helper.to_array(part) for part in made.graph.initializer]
        (kernel,) = (weight for weight in weights if weight.ndim == 4 and weight.dtype == np.int8)
        assert abs(kernel.astype(int)).max() == widest


@pytest.mark.parametrize(
    ("node", "module_name"),
    [
        ("/stage/head/predict.0/look/look.0/Conv", "stage.head.predict.0.look.0.Conv"),
        ("/stage/blocks/blocks.0/blocks.0.1/Conv", "stage.blocks.0.1.Conv"),
        ("/stage/head/Concat_1", "stage.head.Concat_1"),
        ("/Softmax", "Softmax"),
    ],
)
def test_a_node_tells_which_module_it_came_from(node, module_name):
    assert module.module_path(node) == module_name
