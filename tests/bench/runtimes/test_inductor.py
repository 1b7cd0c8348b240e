"""Compiled stages answer as eager PyTorch does, stay compiled once, and int8 is really int8."""

import shutil

import numpy as np
import pytest
import torch
from torch._dynamo.exc import BackendCompilerFailed
from torch._dynamo.utils import counters
from torch._inductor import config
from torch._inductor.exc import CppCompileError

pytest.importorskip("torchao")
if not any(shutil.which(name) for name in config.cpp.cxx if name):
    pytest.skip("no C++ compiler", allow_module_level=True)

from bench import runtimes
from bench.exits.policy import static
from bench.runtimes import Deployed, eager, inductor
from models.errors import UserError
from models.pixels import resize
from models.ssdlite.exits import add_exits
from models.ssdlite.network import ssdlite
from strategies.base import Candidate

# The first two have the input's size already and so reach the chain without having been resized.
SHAPES = [(96, 96, 3), (96, 96, 3), (90, 120, 3), (120, 90, 3)]
PICTURES = [np.random.default_rng(i).integers(0, 256, shape, dtype=np.uint8) for i, shape in enumerate(SHAPES)]


def candidate(seed: int, precision: str = "fp32", after: tuple[int, ...] = (8,)) -> Candidate:
    torch.manual_seed(seed)
    detector = add_exits(ssdlite(("a", "b"), 96), after, (16,) * len(after))
    for module in detector.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return Candidate("some", "thing", detector.eval(), precision, calibration=tuple(PICTURES))


def deploy(some: Candidate, folder) -> Deployed:
    return Deployed(some, "inductor", inductor.build(some, threads=1, folder=folder))


def pixels(picture) -> torch.Tensor:
    return torch.from_numpy(resize(picture, 96))[None]


def answers(chain, picture) -> list[tuple[torch.Tensor, torch.Tensor]]:
    with torch.inference_mode():
        chain.start(pixels(picture))
        return [tuple(part.clone() for part in chain.step(stage)) for stage in range(2)]


@pytest.fixture(scope="module")
def fp32(tmp_path_factory) -> Deployed:
    return deploy(candidate(0), tmp_path_factory.mktemp("fp32"))


@pytest.fixture(scope="module")
def int8(tmp_path_factory) -> Deployed:
    return deploy(candidate(0, "int8"), tmp_path_factory.mktemp("int8"))


@pytest.mark.slow
def test_every_exit_agrees_with_eager(fp32, tmp_path):
    reference = eager.build(fp32.candidate, threads=1, folder=tmp_path)
    for picture in PICTURES:
        for ours, theirs in zip(answers(fp32.chain, picture), answers(reference.chain(1), picture), strict=True):
            assert torch.allclose(ours[0], theirs[0], atol=1e-3)
            assert torch.allclose(ours[1], theirs[1], atol=1e-3)
    assert fp32.artifact.bytes == pytest.approx(reference.bytes, rel=0.01)


@pytest.mark.slow
def test_two_candidates_of_one_shape_keep_their_own_weights(fp32, tmp_path):
    other = candidate(1)
    reference = eager.build(other, threads=1, folder=tmp_path)
    chain = inductor.build(other, threads=1, folder=tmp_path).chain(1)
    expected = answers(reference.chain(1), PICTURES[0])
    assert torch.allclose(answers(chain, PICTURES[0])[1][0], expected[1][0], atol=1e-3)
    assert not torch.allclose(answers(fp32.chain, PICTURES[0])[1][0], expected[1][0], atol=1e-2)


@pytest.mark.slow
def test_stages_after_the_exit_taken_do_not_run(fp32, monkeypatch):
    def planted(*state):
        raise AssertionError("the second stage ran")

    monkeypatch.setattr(fp32.chain, "_programs", [fp32.chain._programs[0], planted])
    assert fp32.detect(PICTURES[0], static(0, 2)).exit == 0
    with pytest.raises(AssertionError, match="second stage ran"):
        fp32.detect(PICTURES[0], static(1, 2))


@pytest.mark.slow
def test_nothing_compiles_anew_when_the_surroundings_change(fp32):
    compiled, threads = counters["stats"]["unique_graphs"], torch.get_num_threads()
    try:
        for count in (threads + 1, threads):
            torch.set_num_threads(count)
            for picture in PICTURES:
                fp32.detect(picture, static(1, 2))
        with torch.no_grad():
            fp32.chain.start(pixels(PICTURES[2]))
            fp32.chain.step(0)
    finally:
        torch.set_num_threads(threads)
    assert counters["stats"]["unique_graphs"] == compiled > 0


@pytest.mark.slow
def test_every_convolution_of_an_int8_candidate_runs_in_int8(fp32, int8):
    layers = [module for module in int8.candidate.detector.modules() if isinstance(module, torch.nn.Conv2d)]
    assert fp32.artifact.audit == {"layers_by_precision": {"f32": len(layers)}}
    assert int8.artifact.audit == {"layers_by_precision": {"i8": len(layers)}}
    assert int8.artifact.bytes < 0.4 * fp32.artifact.bytes


@pytest.mark.slow
def test_int8_answers_are_those_of_the_quantized_graphs_up_to_rounding(fp32, int8):
    inputs = [pixels(picture) for picture in PICTURES]
    graphs = inductor.quantize(inductor.capture(int8.candidate.detector), inputs)
    errors = np.zeros((2, 2))  # stage, (to the quantized graphs run by eager PyTorch, to fp32)
    for picture, given in zip(PICTURES, inputs, strict=True):
        ours, exact = answers(int8.chain, picture), answers(fp32.chain, picture)
        state = (given,)
        for stage, graph in enumerate(graphs):
            *state, probabilities, _ = graph(*state)
            errors[stage, 0] += (ours[stage][0] - probabilities).abs().mean().item()
            errors[stage, 1] += (ours[stage][0] - exact[stage][0]).abs().mean().item()
            assert torch.allclose(ours[stage][0].sum(1), torch.ones(1), atol=1e-5)
    assert (errors[:, 0] < errors[:, 1]).all()
    # Pixels in [-1, 1] lie halfway between 255 levels, so fused arithmetic rounds many of them the other way, and
    # roundings add up from stage to stage in a network of random weights.
    assert errors[0, 0] < 0.9 * errors[0, 1]


@pytest.mark.slow
def test_int8_that_runs_in_fp32_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(inductor, "quantize", lambda graphs, *_: graphs)
    with pytest.raises(UserError, match="no layer runs in int8"):
        runtimes.deploy(candidate(0, "int8", after=()), "inductor", threads=1, folder=tmp_path)


def test_a_missing_compiler_is_one_clear_line_before_anything_starts():
    with config.patch({"cpp.cxx": ("no-such-compiler",)}), pytest.raises(UserError, match="needs a C\\+\\+ compiler"):
        runtimes.base.check(["openvino", "inductor"], {"fp32"})


def test_a_failing_compiler_is_one_clear_line_and_other_failures_are_bugs():
    failed = CppCompileError(["g++"], "In file included\nfatal error: Python.h: No such file or directory\n")
    explained = inductor._explained(BackendCompilerFailed(inductor.build, failed, None))
    assert isinstance(explained, UserError)
    assert "Python.h: No such file" in str(explained)
    bug = BackendCompilerFailed(inductor.build, ValueError("no"), None)
    assert inductor._explained(bug) is bug


@pytest.mark.slow
def test_quantization_leaves_the_softmax_alone():
    detector = candidate(0, after=()).detector
    (graph,) = inductor.quantize(inductor.capture(detector), [pixels(picture) for picture in PICTURES])
    (softmax,) = [node for node in graph.graph.nodes if "softmax" in str(node.target)]
    assert not any("quantize" in str(user.target) for user in softmax.users)
