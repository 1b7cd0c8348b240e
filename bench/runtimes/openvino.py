"""OpenVINO on the CPU: one graph per stage, each reading the output tensors of the one before in place.

int8 is NNCF's post-training quantization, calibrated stage by stage on the training images that the candidate carries.
"""

from __future__ import annotations

import copy
import io
import logging
import os
import re
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import torch
from openvino.preprocess import PrePostProcessor
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bench.progress import bar
from bench.runtimes.base import audit, programs, write_rows
from models.detector import Detector, State
from models.pixels import resize
from strategies.base import Candidate

PRECISIONS = {"fp32", "int8"}
BATCHES = True

# The only switches that keep OpenVINO and NNCF from reporting their use over the network.
os.environ.setdefault("CI", "true")
os.environ.setdefault("NNCF_CI", "1")


class OpenVinoArtifact:
    """One OpenVINO model per stage (`bench.runtimes.base.Artifact`)."""

    host_threads = 1  # torch's own threads would spin against OpenVINO's

    def __init__(self, models: Sequence[ov.Model], size: int, threads: int):
        self.bytes = size
        self._models, self._threads = models, threads
        self.audit: dict[str, Any] = audit(layer_precisions(self._compiled(1)))

    def _compiled(self, batch: int) -> list[ov.CompiledModel]:
        models = [channels_last(sized(model, batch)) for model in self._models]
        return [compile_model(model, self._threads) for model in models]

    def chain(self, batch: int) -> OpenVinoChain:
        """Its stages, ready to run on `batch` images at once."""
        return OpenVinoChain(self._compiled(batch))


class OpenVinoChain:
    """Inference requests, each of which reads the outputs of the one before (`bench.runtimes.base.Chain`)."""

    def __init__(self, compiled: Sequence[ov.CompiledModel]):
        self._requests = [program.create_infer_request() for program in compiled]
        self._outputs = []
        for number, request in enumerate(self._requests):
            outputs = [request.get_output_tensor(index) for index in range(len(request.model_outputs))]
            self._outputs.append([torch.from_numpy(tensor.data) for tensor in outputs])
            if number + 1 < len(self._requests):
                for index, tensor in enumerate(outputs[:-2]):
                    self._requests[number + 1].set_input_tensor(index, tensor)
        self._pixels = torch.from_numpy(self._requests[0].get_input_tensor(0).data)

    def start(self, pixels: Tensor) -> None:
        """Hand over the images, uint8 [N, size, size, 3]."""
        self._pixels.copy_(pixels)

    def step(self, stage: int) -> tuple[Tensor, Tensor]:
        """Run one stage: probabilities [N, 1 + C, A] and box code [N, A, 4]."""
        self._requests[stage].infer(share_inputs=True, share_outputs=True)  # a quarter of the cost of start and wait
        probabilities, code = self._outputs[stage][-2:]
        return probabilities, code

    def state(self, stage: int) -> State:
        """What the stage handed to the next one, [N, ...] each."""
        return tuple(self._outputs[stage][:-2])

    def put(self, stage: int, state: Sequence[Tensor]) -> None:
        """Replace what the stage handed to the next one, row by row from the first."""
        write_rows(self.state(stage), state)


def build(candidate: Candidate, *, threads: int, folder: Path) -> OpenVinoArtifact:
    """Build a candidate's artifact.

    Args:
        candidate: what to build.
        threads: of its programs.
        folder: where the files that would be shipped are written.

    Returns:
        The artifact.
    """
    detector = candidate.detector
    models = convert(detector)
    if candidate.precision == "int8":
        inputs = [resize(image, detector.size)[None] for image in candidate.calibration]
        models = quantize(models, inputs, threads, candidate.keep)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"stage{number}.xml" for number in range(1, len(models) + 1)]
    for model, path in zip(models, paths, strict=True):
        ov.save_model(model, path, compress_to_fp16=False)
    size = sum(file.stat().st_size for path in paths for file in (path, path.with_suffix(".bin")))
    return OpenVinoArtifact(models, size, threads)


def convert(detector: Detector) -> list[ov.Model]:
    """One OpenVINO model per stage, for any number of images."""
    models = []
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        for program, state in programs(detector, batch=2):
            shapes = [(-1, *part.shape[1:]) for part in state]
            models.append(ov.convert_model(folded(program), example_input=state, input=shapes))
    return models


def folded(program: nn.Module) -> nn.Module:
    """Copy a program and fold its batch norms into the convolutions before them.

    OpenVINO would do it as well, but the layers would lose their names, by which some are kept in fp32.

    Args:
        program: in eval mode.

    Returns:
        The copy.
    """
    program = copy.deepcopy(program)
    for part in program.modules():
        if isinstance(part, nn.Sequential):
            for (name, layer), (after, norm) in pairwise(list(part.named_children())):
                if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    setattr(part, name, fuse_conv_bn_eval(layer, norm))
                    setattr(part, after, nn.Identity())
    return program


def sized(model: ov.Model, batch: int) -> ov.Model:
    """A copy of the model for `batch` images at once: static shapes let the plugin choose its kernels beforehand."""
    fixed = model.clone()
    fixed.reshape({port: [batch, *list(port.get_partial_shape())[1:]] for port in fixed.inputs})
    return fixed


def channels_last(model: ov.Model) -> ov.Model:
    """The model with maps handed from stage to stage as [N, H, W, C], as its kernels keep them inside.

    Left as [N, C, H, W], they would be reordered twice at each boundary.
    """
    layout = PrePostProcessor(model)
    for ports, of in ((model.inputs, layout.input), (model.outputs, layout.output)):
        for index, port in enumerate(ports):
            if port.get_element_type() == ov.Type.f32 and len(port.get_partial_shape()) == 4:
                of(index).model().set_layout(ov.Layout("NCHW"))
                of(index).tensor().set_layout(ov.Layout("NHWC"))
    return layout.build()


def compile_model(model: ov.Model, threads: int) -> ov.CompiledModel:
    """Compile a model for the CPU, in fp32 where it is not quantized, for one request at a time."""
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    return ov.Core().compile_model(model, "CPU", settings)


def quantize(
    models: Sequence[ov.Model], images: Sequence[np.ndarray], threads: int, keep: Sequence[str] = ()
) -> list[ov.Model]:
    """Quantize a chain to int8.

    Convolutions and matrix products run in int8. Sums, products (those of squeeze-and-excitation) and the softmax stay
    in fp32: rounding their inputs cost 3 % to 12 % of the mAP on val, and not rounding them no time that could be
    measured. Later stages are calibrated on what the fp32 stages before them give.

    Args:
        models: one per stage, in fp32.
        images: to calibrate on, uint8 [1, size, size, 3] each.
        threads: of the stages that run to calibrate later ones.
        keep: module paths; what lies under them stays in fp32.

    Returns:
        One model per stage.
    """
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)
    kept = [rf"__module\.stage\.{re.escape(part)}[./].*" for part in keep]
    in_fp32 = nncf.IgnoredScope(types=["Add", "Multiply"], patterns=kept, validate=False)
    states: list[list[np.ndarray]] = [[image] for image in images]
    quantized = []
    with bar("calibrating int8", len(models)) as advance:
        for model in models:
            dataset = nncf.Dataset(states, lambda state: dict(enumerate(state)))
            with redirect_stdout(io.StringIO()):  # NNCF draws progress bars of its own
                quantized.append(nncf.quantize(model, dataset, subset_size=len(states), ignored_scope=in_fp32))
            if len(quantized) < len(models):
                program = compile_model(sized(model, 1), threads)
                states = [[np.array(part) for part in list(program(state).values())[:-2]] for state in states]
            advance()
    return quantized


def layer_precisions(programs: Sequence[ov.CompiledModel]) -> dict[str, list[str]]:
    """Which convolutions and matrix products the CPU really runs in each precision, as its own plan says."""
    found: dict[str, list[str]] = {}
    for number, program in enumerate(programs, start=1):
        for node in program.get_runtime_model().get_ops():
            info = node.get_rt_info()
            kind = str(info["layerType"].astype(str)) if "layerType" in info else ""
            if kind in ("Convolution", "FullyConnected", "MatMul"):
                precision = str(info["runtimePrecision"].astype(str)).replace("u8", "i8")
                found.setdefault(precision, []).append(f"stage{number} {node.get_friendly_name()}")
    return found
