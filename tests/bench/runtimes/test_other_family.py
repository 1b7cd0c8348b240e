"""A family of another kind (sigmoid scores, other pixels, nothing but a network) through training, runtime, parity and
exit table, without the harness knowing."""

import numpy as np
import pytest
import torch

from bench.data.shapes import shapes
from bench.exits.criteria import NEVER
from bench.exits.policy import static
from bench.exits.registry import CRITERIA
from bench.measure.exit_table import evaluate, exit_table
from bench.measure.parity import parity
from bench.runtimes import deploy
from bench.train.batches import Batches
from bench.train.fit import Trainer
from models.detector import merged
from models.temperature import fit_temperatures
from strategies.base import Candidate, plain_objective
from tests.support.sigmoid import build

DATA = shapes(0, 8, 4, 4, size=64)


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    return build(DATA.classes, 64).eval()


@pytest.fixture(scope="module", params=["eager", "openvino"])
def deployed(detector, request, tmp_path_factory):
    candidate = Candidate("other", "two", detector)
    return deploy(candidate, request.param, threads=1, folder=tmp_path_factory.mktemp("other"))


def by_hand(detector, picture: np.ndarray) -> list[np.ndarray]:
    """Every exit's probabilities [1 + C, A], from the stages and the formulas alone."""
    x = torch.from_numpy(np.ascontiguousarray(picture[..., ::-1]).transpose(2, 0, 1)[None].astype(np.float32) / 255)
    found = []
    with torch.no_grad():
        for stage in detector.stages:
            x = stage.trunk(x).relu()
            scores = 1 / (1 + np.exp(-stage.answer(x)[0, : stage.classes].flatten(1).numpy()))
            found.append(np.concatenate([1 - scores.max(0, keepdims=True), scores]))
    return found


def test_what_is_deployed_says_what_the_formulas_say(detector, deployed):
    picture = DATA.val.image(0)
    with torch.inference_mode():
        answers = [probabilities.numpy().copy() for probabilities, _ in deployed.walk(picture)]
    for mine, expected in zip(answers, by_hand(detector, picture), strict=True):
        assert np.allclose(mine, expected, atol=1e-5)
    found = parity(deployed, [DATA.val.image(index) for index in range(4)])
    assert max(found.probabilities, found.boxes) < 1e-4


def test_every_criterion_reads_its_exits(deployed):
    table = exit_table(deployed, DATA.val)
    assert table.exits == 2
    for name in CRITERIA:
        scores = table.scores[name]
        assert (np.isfinite(scores) & (scores >= 0) | (scores == NEVER)).all(), name
    assert np.isfinite(table.features).all()
    assert (table.health["offset"] <= 1).all()
    assert len(evaluate(table, DATA.val.coco())) == 2
    answer = deployed.detect(DATA.val.image(0), static(1, 2))
    assert np.array_equal(answer.detections.boxes, table.detections[1][0].boxes)


def test_one_graph_answers_as_the_chain(detector, tmp_path):
    chain, whole = (
        deploy(Candidate("other", name, one), "eager", threads=1, folder=tmp_path / name)
        for name, one in (("chain", detector), ("whole", merged(detector)))
    )
    picture = DATA.val.image(1)
    last, only = chain.detect(picture, static(1, 2)), whole.detect(picture, static(0, 1))
    assert np.array_equal(last.detections.scores, only.detections.scores)


def test_it_learns_from_its_own_kind_of_pixels_and_is_calibrated(detector, tmp_path):
    made = detector.clone()
    seen = []
    made.stages[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    trainer = Trainer(Batches(DATA.train, 64), DATA.train.hash, tmp_path, batch_size=4, seed=0)
    trainer(made, name="other", objective=plain_objective, epochs=1, learning_rate=1e-3)
    assert all(0 <= float(images.min()) <= float(images.max()) <= 1 for images in seen)
    (centred, _) = next(iter(Batches(DATA.train, 64).epoch(4, trainer._seed("other", 0), 64)))
    assert torch.equal(seen[0], (centred.flip(1) + 1) / 2)
    temperatures = fit_temperatures(made, DATA.val)
    assert [float(stage.temperature) for stage in made.stages] == pytest.approx(temperatures)
