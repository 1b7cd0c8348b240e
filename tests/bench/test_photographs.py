"""On real photographs: the loaded baseline scores what is known of its weights, before anything is trained."""

import numpy as np
import pytest

from bench.data.spec import load
from bench.measure.accuracy import accuracy
from bench.routing.table import exit_table
from bench.runtimes import deploy
from bench.study import evaluate
from models.ssdlite import ssdlite
from strategies.base import Candidate

KNOWN = {"person": (0.274, 0.509), "chair": (0.061, 0.158)}  # mAP, AP50 of the stock network on these 600 test images


@pytest.mark.slow
@pytest.mark.parametrize("name", KNOWN)
def test_the_loaded_baseline_scores_what_is_known_of_it(shared, tmp_path, name):
    data = load(f"coco:{shared / 'data/coco-person'}", classes=(name,))
    weights = str(shared / "weights/ssdlite320_mobilenet_v3_large_coco.pth")
    candidate = Candidate("baseline", "loaded", ssdlite(data.classes, 320, weights))
    deployed = deploy(candidate, "openvino", threads=1, folder=tmp_path)
    reached = accuracy(evaluate(exit_table(deployed, data.test), data.test), np.zeros(len(data.test), int))
    assert reached.map == pytest.approx(KNOWN[name][0], abs=0.005)
    assert reached.map50 == pytest.approx(KNOWN[name][1], abs=0.02)
