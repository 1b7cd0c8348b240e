"""On real photographs: the loaded baseline scores what is known of its weights, before anything is trained."""

import numpy as np
import pytest

from bench.accuracy.coco import accuracy
from bench.data.spec import load
from bench.measure.exit_table import exit_table
from bench.runtimes import deploy
from bench.study.study import evaluate
from models.ssdlite.network import ssdlite
from strategies.base import Candidate

KNOWN = [
    (("person",), 0.274, 0.509),
    (None, 0.194, 0.347),
]  # classes, mAP, AP50 of the stock network on the test images


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "known", "known50"), KNOWN)
def test_the_loaded_baseline_scores_what_is_known_of_it(shared, tmp_path, classes, known, known50):
    data = load(f"coco:{shared / 'data/coco-person'}", classes=classes)
    weights = str(shared / "weights/ssdlite320_mobilenet_v3_large_coco.pth")
    candidate = Candidate("baseline", "loaded", ssdlite(data.classes, 320, weights))
    deployed = deploy(candidate, "openvino", threads=1, folder=tmp_path)
    reached = accuracy(evaluate(exit_table(deployed, data.test), data.test.coco()), np.zeros(len(data.test), int))
    assert reached.map == pytest.approx(known, abs=0.005)
    assert reached.map50 == pytest.approx(known50, abs=0.01)
