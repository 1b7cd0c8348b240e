"""The second family on every runtime: fp32 answers as PyTorch does, with all patches and with fewer; int8 is int8."""

import pytest
import torch

from bench.data.shapes import shapes
from bench.measure.parity import TOLERANCE, parity
from bench.runtimes import deploy
from models.families import build
from models.yolos.network import multi_exit
from strategies.base import Candidate

DATA = shapes(0, 4, 2, 1, size=64)
IMAGES = [DATA.train.image(index) for index in range(4)]


def deployed(folder, runtime: str, keep: tuple[float, ...] = (), precision: str = "fp32"):
    torch.manual_seed(0)
    detector = multi_exit(build("yolos", DATA.classes, 64, None), (3, 6, 9), keep).eval()
    calibration = tuple(IMAGES) if precision == "int8" else ()
    candidate = Candidate("multi_exit_yolos", "l3-6-9", detector, precision=precision, calibration=calibration)
    return deploy(candidate, runtime, threads=1, folder=folder)


@pytest.mark.parametrize("keep", [(), (0.75, 0.5, 0.25)], ids=["all patches", "fewer patches"])
@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_every_exit_answers_as_pytorch_does(tmp_path, runtime, keep):
    found = parity(deployed(tmp_path, runtime, keep), IMAGES)
    assert max(found.probabilities, found.boxes) < TOLERANCE


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_int8_runs_in_int8(tmp_path, runtime):
    layers = deployed(tmp_path, runtime, precision="int8").artifact.audit["layers_by_precision"]
    assert layers["i8"] > 100
    assert layers.get("f32", 0) < 10
