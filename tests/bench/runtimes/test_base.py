"""A deployed chain answers as eager PyTorch does, runs no stage after the exit taken, and int8 is really int8."""

import logging
import math
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bench.data.shapes import shapes
from bench.exits.criteria import mean_background
from bench.exits.policy import Policy, static
from bench.exits.registry import CRITERIA
from bench.measure.exit_table import ExitTable, exit_table
from bench.measure.parity import TOLERANCE, Parity, check_parity, parity
from bench.records import environment
from bench.runtimes import Deployed, deploy, takes_batches
from bench.runtimes import base as runtimes
from bench.runtimes.registry import RUNTIMES, libraries
from models.detector import merged
from models.errors import UserError
from models.families import build
from models.resolution import resolution_chain
from models.ssdlite.exits import add_exits
from models.ssdlite.network import ssdlite
from models.yolos.network import multi_exit
from strategies.base import Candidate
from tests.support.plugins import plug

HERE = [name for name in RUNTIMES if name != "inductor"]  # compiling takes long: it has a file of its own
PICTURES = [np.random.default_rng(i).integers(0, 256, (90, 120, 3), dtype=np.uint8) for i in range(6)]


@pytest.fixture(scope="module")
def staged() -> Candidate:
    torch.manual_seed(0)
    detector = add_exits(ssdlite(("a", "b"), 96), (8, 12), (16, 24))
    for module in detector.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return Candidate("early_exit", "b8-12", detector.eval(), criteria=("max_score",))


@pytest.fixture(scope="module")
def deployed(staged, tmp_path_factory) -> dict[str, Deployed]:
    return {name: deploy(staged, name, threads=1, folder=tmp_path_factory.mktemp(name) / "x") for name in HERE}


@pytest.mark.slow
@pytest.mark.parametrize("exit", range(3))
def test_every_runtime_agrees_with_the_detector_itself(deployed, staged, exit):
    detector = staged.detector
    for picture in PICTURES[:3]:
        with torch.inference_mode():
            raw = detector(detector.to_input(picture))[exit]
            expected = detector.detections(detector.probabilities(raw)[0], raw[1][0]).scaled(120, 90)
        for one in deployed.values():
            answer = one.detect(picture, static(exit, 3))
            assert answer.exit == exit
            assert len(answer.detections) == len(expected) > 0
            assert np.allclose(answer.detections.scores, expected.scores, atol=1e-3)


DESIGNS = {
    "late": lambda plain: add_exits(plain, (12, 14), (16, 16)),
    "light": lambda plain: add_exits(plain, (8,), (16,), head="light"),
    "cbam": lambda plain: add_exits(plain, (6, 8), (16, 16), attend="cbam"),
    "boxes": lambda plain: add_exits(plain, (12,), (16,), localise=True),
    "resolution": lambda plain: resolution_chain(plain, (64,)),
}


@pytest.mark.parametrize("runtime", HERE)
@pytest.mark.parametrize(
    "design", ["late", *(pytest.param(name, marks=pytest.mark.slow) for name in DESIGNS if name != "late")]
)
@pytest.mark.slow
def test_every_design_of_exits_answers_on_every_runtime_as_in_pytorch(design, runtime, tmp_path):
    torch.manual_seed(1)
    plain = ssdlite(("a", "b"), 96)
    for module in plain.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    detector = DESIGNS[design](plain).eval()
    one = deploy(Candidate("design", design, detector), runtime, threads=1, folder=tmp_path / "x")
    check_parity(parity(one, PICTURES[:2]), one)
    for exit in range(detector.exits):
        answer = one.detect(PICTURES[0], static(exit, detector.exits))
        with torch.inference_mode():
            raw = detector(detector.to_input(PICTURES[0]))[exit]
            expected = detector.detections(detector.probabilities(raw)[0], raw[1][0], exit).scaled(120, 90)
        assert np.allclose(answer.detections.boxes[:5], expected.boxes[:5], atol=0.5)


@pytest.mark.parametrize("runtime", HERE)
@pytest.mark.parametrize(("exit", "ran"), [(0, [1, 0, 0]), (1, [1, 1, 0]), (2, [1, 1, 1])])
def test_stages_after_the_exit_taken_do_not_run(deployed, runtime, exit, ran):
    one = deployed[runtime]
    before = list(one.calls)
    one.detect(PICTURES[0], static(exit, 3))
    assert [now - then for now, then in zip(one.calls, before, strict=True)] == ran


def test_a_skipped_stage_is_not_executed_by_openvino_itself(deployed):
    one = deployed["openvino"]
    later = one.chain._requests[1:]
    for request in later:
        for output in request.output_tensors:
            output.data[...] = -7.0
    one.detect(PICTURES[1], static(0, 3))
    assert all((output.data == -7.0).all() for request in later for output in request.output_tensors)
    one.detect(PICTURES[1], static(2, 3))
    assert not any((output.data == -7.0).all() for request in later for output in request.output_tensors)


class Split:
    role, hash = "test", "h"
    examples = tuple(SimpleNamespace(id=index) for index in range(len(PICTURES)))

    def __len__(self):
        return len(PICTURES)

    def image(self, index):
        return PICTURES[index]


@pytest.fixture(scope="module")
def tables(deployed) -> dict[str, ExitTable]:
    return {name: exit_table(one, Split()) for name, one in deployed.items()}


def middle(scores: np.ndarray) -> Policy:
    """max_score with thresholds that half of the images reach."""
    return Policy("max_score", tuple(float(np.median(column)) for column in scores[:, :-1].T))


@pytest.mark.parametrize("runtime", HERE)
def test_the_conditional_path_takes_the_exits_and_gives_the_answers_of_the_table(deployed, tables, runtime):
    table = tables[runtime]
    policy = middle(table.scores["max_score"])
    exits = policy.route(table.scores["max_score"])
    assert len(set(exits)) > 1
    for index, picture in enumerate(PICTURES):
        answer = deployed[runtime].detect(picture, policy)
        assert answer.exit == exits[index]
        kept = table.detections[exits[index]][index]
        assert np.array_equal(answer.detections.scores, kept.scores)
        assert np.array_equal(answer.detections.boxes, kept.boxes)


@pytest.mark.parametrize("runtime", HERE)
@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_conditional_path_sees_the_very_scores_of_the_table(deployed, tables, runtime, criterion):
    one, scores = deployed[runtime], tables[runtime].scores[criterion]
    assert len(np.unique(scores[:, 1])) > 1
    for index in range(2):
        for exit, score in enumerate(scores[index, :2]):
            never = (math.inf,) * exit
            at, above = (
                never + (value,) + (math.inf,) * (1 - exit) for value in (score, np.nextafter(score, math.inf))
            )
            assert one.detect(PICTURES[index], Policy(criterion, at)).exit == exit
            assert one.detect(PICTURES[index], Policy(criterion, above)).exit == 2


@pytest.mark.parametrize(
    ("policy", "reads"),
    [
        (Policy("max_score", (0.0, 0.0)), [0]),
        (Policy("expected_objects", (1e9, 0.0)), [0, 1]),
        (Policy("agreement", (0.0, 0.0)), [1, 0]),
        (Policy("agreement", (0.0, 2.0)), [1, 0, 2]),
    ],
)
def test_detections_are_read_when_asked_for_and_never_twice(deployed, monkeypatch, policy, reads):
    one = deployed["openvino"]
    exits = [step.data_ptr() for step, _ in one.walk(PICTURES[0])]
    found, read = [], one.read
    monkeypatch.setattr(
        one,
        "read",
        lambda exit, p, code, image: found.append(exits.index(p.data_ptr())) or read(exit, p, code, image),
    )
    one.detect(PICTURES[0], policy)
    assert found == reads


@pytest.mark.slow
@pytest.mark.parametrize("runtime", HERE)
def test_a_chain_and_the_same_as_one_graph_agree_with_pytorch(runtime, tmp_path):
    torch.manual_seed(0)
    deaf = add_exits(ssdlite(("a",), 96), (8, 12), (16, 24), context="inner").eval()  # leaves state unread
    for detector in (deaf, merged(deaf)):
        one = deploy(Candidate("x", "y", detector), runtime, threads=1, folder=tmp_path)
        found = parity(one, PICTURES[:2])
        check_parity(found, one)
        assert found.probabilities < 1e-3


def test_a_conversion_that_changes_answers_is_refused(staged, deployed):
    one = Deployed(staged, "eager", deployed["eager"].artifact)
    with pytest.raises(UserError, match=r"differ from eager PyTorch's by 0\.5"):
        check_parity(Parity(0.5, 0.0), one)


def int8(detector_candidate: Candidate) -> Candidate:
    return Candidate("quant", "int8", detector_candidate.detector, precision="int8", calibration=tuple(PICTURES))


@pytest.mark.slow
def test_int8_runs_int8_layers_and_stays_near(staged, tmp_path):
    logging.getLogger("nncf").setLevel(logging.ERROR)
    one = deploy(int8(staged), "openvino", threads=1, folder=tmp_path)
    assert one.artifact.audit["layers_by_precision"]["i8"] > 20
    seen = one.every_exit(PICTURES[0], mean_background)
    assert len(seen) == 3
    assert np.isfinite(seen).all()


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_sensitive_parts_stay_in_fp32_and_are_named(staged, tmp_path, runtime):
    whole = deploy(int8(staged), runtime, threads=1, folder=tmp_path / "whole").artifact.audit
    kept = replace(int8(staged), keep=("head.predict", "head.head"))
    guarded = deploy(kept, runtime, threads=1, folder=tmp_path / "kept").artifact.audit
    *light, full = (stage.head for stage in staged.detector.stages)
    layers = [one for part in (*(head.predict for head in light), full.head) for one in part.modules()]
    expected = sum(isinstance(one, torch.nn.Conv2d) for one in layers)
    more = set(guarded["layers_kept_in_fp32"]) - set(whole["layers_kept_in_fp32"])
    assert guarded["layers_by_precision"]["i8"] == whole["layers_by_precision"]["i8"] - expected
    assert len(guarded["layers_kept_in_fp32"]) == len(whole["layers_kept_in_fp32"]) + expected
    assert len(more) >= expected


@pytest.mark.slow
def test_int8_that_runs_in_fp32_is_refused(staged, tmp_path, monkeypatch):
    module = runtimes.runtime_module("openvino")
    monkeypatch.setattr(module, "quantize", lambda models, *_: models)
    with pytest.raises(UserError, match="no layer runs in int8"):
        deploy(int8(staged), "openvino", threads=1, folder=tmp_path)


def test_wrong_names_and_precisions_are_one_clear_line(staged, tmp_path):
    with pytest.raises(UserError, match="did you mean 'openvino'"):
        runtimes.check(["openvno"], {"fp32"})
    with pytest.raises(UserError, match="no int8 kernels"):
        deploy(int8(staged), "eager", threads=1, folder=tmp_path)


def test_a_runtime_whose_packages_are_missing_says_which(monkeypatch):
    monkeypatch.setattr(RUNTIMES, "_loaded", {})
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it was not installed
    monkeypatch.delitem(sys.modules, "bench.runtimes.openvino", raising=False)
    with pytest.raises(UserError, match=r"needs the package 'openvino'.*exitbench\[openvino\]"):
        runtimes.check(["openvino"], {"fp32"})


SHAPES = shapes(0, 4, 2, 1, size=64)
SQUARE = [SHAPES.train.image(index) for index in range(4)]


def deployed_yolos(folder, runtime: str, keep: tuple[float, ...] = (), precision: str = "fp32"):
    torch.manual_seed(0)
    detector = multi_exit(build("yolos", SHAPES.classes, 64, None), (3, 6, 9), keep).eval()
    calibration = tuple(SQUARE) if precision == "int8" else ()
    candidate = Candidate("multi_exit_yolos", "l3-6-9", detector, precision=precision, calibration=calibration)
    return deploy(candidate, runtime, threads=1, folder=folder)


@pytest.mark.slow
@pytest.mark.parametrize("keep", [(), (0.75, 0.5, 0.25)], ids=["all patches", "fewer patches"])
@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_every_exit_of_yolos_answers_as_pytorch_does(tmp_path, runtime, keep):
    found = parity(deployed_yolos(tmp_path, runtime, keep), SQUARE)
    assert max(found.probabilities, found.boxes) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_yolos_in_int8_runs_in_int8(tmp_path, runtime):
    layers = deployed_yolos(tmp_path, runtime, precision="int8").artifact.audit["layers_by_precision"]
    assert layers["i8"] > 100
    assert layers.get("f32", 0) <= 12  # without VNNI OpenVINO leaves one product of each layer's attention in fp32


def test_other_packages_bring_runtimes(staged, tmp_path, monkeypatch):
    theirs = SimpleNamespace(
        PRECISIONS={"fp32", "int8"}, BATCHES=False, LIBRARIES=("pytest",), build=RUNTIMES.get("eager").build
    )
    monkeypatch.setitem(sys.modules, "theirs", theirs)
    plug(monkeypatch, RUNTIMES, theirs="theirs")
    assert list(RUNTIMES)[-1] == "theirs"
    runtimes.check(["theirs"], {"fp32", "int8"})
    assert not takes_batches("theirs")
    image = PICTURES[0]
    answers = [
        deploy(staged, name, threads=1, folder=tmp_path / name).detect(image, static(2, 3))
        for name in ("eager", "theirs")
    ]
    assert answers[0].exit == answers[1].exit
    assert np.array_equal(answers[0].detections.boxes, answers[1].detections.boxes)
    assert environment(1, libraries("theirs")).libraries["pytest"] == pytest.__version__
    assert "pytest" not in environment(1, libraries("eager")).libraries


def test_no_package_takes_the_name_of_one_of_ours(monkeypatch):
    with pytest.raises(UserError, match="two packages bring the runtime 'eager': exitbench and"):
        plug(monkeypatch, RUNTIMES, eager="theirs")


@torch.inference_mode()
def test_programs_take_what_the_one_before_hands_on_and_images_stay_bytes():
    """Both stages of a chain of resolutions see the image: it crosses the boundary as it came, uint8."""
    torch.manual_seed(0)
    detector = resolution_chain(ssdlite(("a",), 96), (64,)).eval()
    first, second = runtimes.programs(detector, batch=2)
    for program, state in (first, second):
        assert [(part.dtype, part.shape) for part in state] == [(torch.uint8, (2, 96, 96, 3))]
        assert program(*state)[-2].shape[:2] == (2, 2)  # images, background and class
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8))
    handed, *_ = first[0](pixels)
    assert torch.equal(handed, pixels)


def test_rows_are_written_from_the_first_on_and_the_rest_stays():
    state, rows = (torch.zeros(4, 3), torch.zeros(4, 2, 2)), (torch.ones(2, 3), torch.full((2, 2, 2), 5.0))
    runtimes.write_rows(state, rows)
    assert state[0].tolist() == [[1.0] * 3] * 2 + [[0.0] * 3] * 2
    assert state[1].sum(dim=(1, 2)).tolist() == [20.0, 20.0, 0.0, 0.0]


def test_an_audit_counts_layers_and_names_those_that_stayed_in_fp32_beside_int8():
    assert runtimes.audit({"f32": ["a", "b"]}) == {"layers_by_precision": {"f32": 2}}
    assert runtimes.audit({"i8": ["a"], "f32": ["b", "c"]}) == {
        "layers_by_precision": {"i8": 1, "f32": 2},
        "layers_kept_in_fp32": ["b", "c"],
    }
