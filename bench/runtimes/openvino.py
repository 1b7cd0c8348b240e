"""OpenVINO on the CPU: one graph per stage, each reading the output tensors of the one before in place. int8 is NNCF's
post-training quantization, calibrated stage by stage on the training images that the candidate carries."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import torch
from torch import Tensor

from bench.progress import bar
from bench.runtimes.base import Program
from models.detector import Detector, State, to_input
from strategies.base import Candidate

PRECISIONS = {"fp32", "int8"}

# The only switches that keep OpenVINO and NNCF from reporting their use over the network.
os.environ.setdefault("CI", "true")
os.environ.setdefault("NNCF_CI", "1")


class OpenVinoChain:
    host_threads = 1  # torch's own threads would spin against OpenVINO's

    def __init__(self, models: Sequence[ov.Model], size: int, threads: int):
        self.bytes = size
        compiled = [compile_model(model, threads) for model in models]
        self.audit: dict[str, Any] = {"layers_by_precision": layer_precisions(compiled)}
        self._requests = [program.create_infer_request() for program in compiled]
        self._answers = []
        for number, request in enumerate(self._requests):
            outputs = [request.get_output_tensor(index) for index in range(len(request.model_outputs))]
            self._answers.append([torch.from_numpy(tensor.data) for tensor in outputs[-2:]])
            if number + 1 < len(self._requests):
                for index, tensor in enumerate(outputs[:-2]):
                    self._requests[number + 1].set_input_tensor(index, tensor)
        self._pixels = torch.from_numpy(self._requests[0].get_input_tensor(0).data)

    def start(self, pixels: Tensor) -> None:
        self._pixels.copy_(pixels)

    def step(self, stage: int) -> tuple[Tensor, Tensor]:
        request = self._requests[stage]
        request.start_async()
        request.wait()
        probabilities, boxes = self._answers[stage]
        return probabilities[0], boxes[0]


def chain(candidate: Candidate, *, threads: int, folder: Path) -> OpenVinoChain:
    detector = candidate.detector
    models = convert(detector)
    if candidate.precision == "int8":
        inputs = [to_input(image, detector.size).numpy() for image in candidate.calibration]
        models = quantize(models, inputs, threads)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"stage{number}.xml" for number in range(1, len(models) + 1)]
    for model, path in zip(models, paths, strict=True):
        ov.save_model(model, path, compress_to_fp16=False)
    size = sum(file.stat().st_size for path in paths for file in (path, path.with_suffix(".bin")))
    return OpenVinoChain(models, size, threads)


def convert(detector: Detector) -> list[ov.Model]:
    """One static-shape OpenVINO model per stage."""
    state: State = (torch.zeros(1, 3, detector.size, detector.size),)
    models = []
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        for stage in detector.stages:
            program = Program(stage, detector.decode).eval()
            models.append(ov.convert_model(program, example_input=state, input=[tuple(part.shape) for part in state]))
            state, _ = stage(*state)
    return models


def compile_model(model: ov.Model, threads: int) -> ov.CompiledModel:
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    return ov.Core().compile_model(model, "CPU", settings)


def quantize(models: Sequence[ov.Model], images: Sequence[np.ndarray], threads: int) -> list[ov.Model]:
    """int8 versions of a chain. Later stages are calibrated on what the fp32 stages before them give.

    images: float32 [1, 3, size, size] each. The decoding of boxes and the softmax stay in fp32.
    """
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)
    states: list[list[np.ndarray]] = [[image] for image in images]
    quantized = []
    with bar("calibrating int8", len(models)) as advance:
        for model in models:
            ignored = nncf.IgnoredScope(patterns=[".*decode.*"], validate=False)
            dataset = nncf.Dataset(states, lambda state: dict(enumerate(state)))
            with redirect_stdout(io.StringIO()):  # NNCF draws progress bars of its own
                # Hard swish goes below zero, which symmetric activations waste half their range on: on photographs
                # they cost 11.6 % of mAP against 3.3 % for 5 % less time.
                preset = nncf.QuantizationPreset.MIXED
                quantized.append(
                    nncf.quantize(model, dataset, subset_size=len(states), ignored_scope=ignored, preset=preset)
                )
            if len(quantized) < len(models):
                program = compile_model(model, threads)
                states = [[np.array(part) for part in list(program(state).values())[:-2]] for state in states]
            advance()
    return quantized


def layer_precisions(programs: Sequence[ov.CompiledModel]) -> dict[str, int]:
    """How many convolutions and matrix products the CPU really runs in each precision, as its own plan says."""
    found: Counter[str] = Counter()
    for program in programs:
        for node in program.get_runtime_model().get_ops():
            info = node.get_rt_info()
            kind = str(info["layerType"].astype(str)) if "layerType" in info else ""
            if kind in ("Convolution", "FullyConnected", "MatMul"):
                found[str(info["runtimePrecision"].astype(str)).replace("u8", "i8")] += 1
    return dict(found)
