"""In a batch every image gets the answer it gets alone, in its place, and no stage computes an image that has left."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bench.exits.criteria import agreement, max_score
from bench.exits.policy import Policy, static
from bench.runtimes import Deployed, deploy
from bench.runtimes.batched import Batched
from models.errors import UserError
from models.ssdlite.exits import add_exits
from models.ssdlite.network import ssdlite
from strategies.base import Candidate

pytestmark = pytest.mark.slow

HERE = ["eager", "openvino", "onnxruntime"]
SHAPES = [(90, 120, 3), (96, 96, 3), (60, 70, 3), (130, 90, 3), (96, 50, 3)]
PICTURES = [np.random.default_rng(i).integers(0, 256, shape, dtype=np.uint8) for i, shape in enumerate(SHAPES)]


@pytest.fixture(scope="module")
def batched(tmp_path_factory) -> dict[str, Batched]:
    torch.manual_seed(0)
    detector = add_exits(ssdlite(("a", "b"), 96), (8, 12), (16, 24))
    for module in detector.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    candidate = Candidate("early_exit", "b8-12", detector.eval(), criteria=("max_score",))
    folder = tmp_path_factory.mktemp("batched")
    return {name: Batched(deploy(candidate, name, threads=1, folder=folder / name)) for name in HERE}


def scores(deployed: Deployed) -> np.ndarray:
    """Each picture's max score at the first two exits: [pictures, 2]."""
    return np.array([deployed.every_exit(picture, max_score)[:2] for picture in PICTURES])


@pytest.mark.parametrize("runtime", HERE)
@settings(
    max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    order=st.lists(st.integers(0, len(PICTURES) - 1), min_size=1, max_size=6), ranks=st.tuples(*[st.integers(0, 5)] * 2)
)
def test_a_batch_gives_every_image_its_own_answer_in_its_place(batched, runtime, order, ranks):
    one = batched[runtime]
    known = np.sort(scores(one.deployed), axis=0)
    edges = np.concatenate([known[:1] - 1, (known[1:] + known[:-1]) / 2, known[-1:] + 1])
    policy = Policy("max_score", tuple(edges[rank, exit] for exit, rank in enumerate(ranks)))
    before = list(one.rows)
    answers = one.detect([PICTURES[index] for index in order], policy)
    assert len(answers) == len(order)
    alone = [one.deployed.detect(PICTURES[index], policy) for index in order]
    for together, single in zip(answers, alone, strict=True):
        assert together.exit == single.exit
        found, expected = together.detections, single.detections
        assert float(found.scores[0]) == pytest.approx(float(expected.scores[0]), abs=1e-4)
        assert np.allclose(found.boxes[0], expected.boxes[0], atol=0.05)
    reached = [sum(answer.exit >= stage for answer in alone) for stage in range(3)]
    assert [now - then for now, then in zip(one.rows, before, strict=True)] == reached


@pytest.mark.parametrize("runtime", HERE)
def test_in_a_batch_too_an_exit_is_compared_with_what_the_one_before_said_of_the_same_image(batched, runtime):
    one = batched[runtime]
    scores = np.sort([one.deployed.every_exit(picture, agreement)[1] for picture in PICTURES])
    policy = Policy("agreement", (0.0, float(scores[1:3].mean())))
    alone = [one.deployed.detect(picture, policy).exit for picture in PICTURES]
    assert set(alone) == {1, 2}
    assert [answer.exit for answer in one.detect(PICTURES, policy)] == alone


def test_regrouping_takes_time_only_when_some_stay_and_some_leave(batched):
    one = batched["openvino"]
    for exit in range(3):
        one.detect(PICTURES, static(exit, 3))
    before = one.regrouping
    one.detect(PICTURES, static(2, 3))
    assert one.regrouping == before
    middle = float(np.median(scores(one.deployed)[:, 0]))
    one.detect(PICTURES, Policy("max_score", (middle, 2.0)))
    assert one.regrouping > before


@pytest.mark.slow
def test_inductor_says_that_it_takes_one_image_at_a_time(tmp_path):
    pytest.importorskip("torchao")
    from bench.runtimes.inductor import InductorArtifact

    with pytest.raises(UserError, match="one image at a time"):
        InductorArtifact([], {}, 0, 1).chain(2)
