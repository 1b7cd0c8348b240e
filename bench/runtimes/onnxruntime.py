"""ONNX Runtime on the CPU: one graph per stage, each reading the outputs of the one before in place. int8 is ONNX
Runtime's static quantization, calibrated stage by stage on the training images that the candidate carries."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnxruntime import quantization
from torch import Tensor

from bench.files import replacing
from bench.progress import bar
from bench.runtimes.base import Program
from models.detector import Detector, State, to_input
from strategies.base import Candidate

PRECISIONS = {"fp32", "int8"}
OPSET = 20  # the newest that the exporter used below can write

# Sums and poolings between these run in int8 as well; hard swish has no int8 kernel, only the product in it.
QUANTIZED = ["Conv", "Gemm", "MatMul", "Relu", "Clip", "Mul"]
FLOAT_LAYERS = {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul"}
INT8_LAYERS = {"QLinearConv", "ConvInteger", "QGemm", "QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat"}
PRECISION_OF = dict.fromkeys(FLOAT_LAYERS, "f32") | dict.fromkeys(INT8_LAYERS, "i8")

ort.disable_telemetry_events()  # some builds report their use over the network


class OnnxChain:
    host_threads = 1  # torch's own threads would compete with ONNX Runtime's

    def __init__(self, paths: Sequence[Path], threads: int):
        self.bytes = sum(path.stat().st_size for path in paths)
        sessions, found = [], Counter()
        for path in paths:
            session, layers = open_session(path.read_bytes(), threads)
            sessions.append(session)
            found += layers
        self.audit: dict[str, Any] = {"layers_by_precision": dict(found)}
        self._pixels = torch.zeros(sessions[0].get_inputs()[0].shape)
        self._programs, self._outputs = [], []
        inputs = [self._pixels]
        for session in sessions:
            outputs = [torch.zeros(output.shape) for output in session.get_outputs()]
            self._programs.append((session, bind(session, inputs, outputs)))
            self._outputs.append(outputs)
            inputs = outputs[:-2]

    def start(self, pixels: Tensor) -> None:
        self._pixels.copy_(pixels)

    def step(self, stage: int) -> tuple[Tensor, Tensor]:
        session, binding = self._programs[stage]
        session.run_with_iobinding(binding)
        probabilities, boxes = self._outputs[stage][-2:]
        return probabilities[0], boxes[0]


def chain(candidate: Candidate, *, threads: int, folder: Path) -> OnnxChain:
    detector = candidate.detector
    models = convert(detector)
    if candidate.precision == "int8":
        inputs = [to_input(image, detector.size).numpy() for image in candidate.calibration]
        models = quantize(models, inputs, threads)
    paths = [folder / f"stage{number}.onnx" for number in range(1, len(models) + 1)]
    for model, path in zip(models, paths, strict=True):
        with replacing(path) as partial:
            onnx.save_model(model, partial, format="protobuf")
    return OnnxChain(paths, threads)


def convert(detector: Detector) -> list[onnx.ModelProto]:
    """One static-shape ONNX model per stage. The tracing exporter is ten times quicker than the one that replaces it,
    and keeps global pooling and the modules' names, which int8 needs."""
    state: State = (torch.zeros(1, 3, detector.size, detector.size),)
    models = []
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        for stage in detector.stages:
            following, _ = stage(*state)
            file = io.BytesIO()
            torch.onnx.export(
                Program(stage, detector.decode).eval(),
                state,
                file,
                input_names=list(_named(state)),
                output_names=[*(f"next{index}" for index in range(len(following))), "probabilities", "boxes"],
                opset_version=OPSET,
                dynamo=False,
            )
            models.append(onnx.load_model_from_string(file.getvalue()))
            state = following
    return models


def open_session(model: bytes, threads: int) -> tuple[ort.InferenceSession, Counter[str]]:
    """A session, and how many convolutions and matrix products it really runs in each precision."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3  # errors only
    # Threads may spin inside a run, but one stage's must not spin on while the next stage's work.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    with TemporaryDirectory() as folder:
        options.optimized_model_filepath = f"{folder}/run.onnx"
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        plan = onnx.load_model(options.optimized_model_filepath)
    return session, Counter(PRECISION_OF[node.op_type] for node in plan.graph.node if node.op_type in PRECISION_OF)


def bind(session: ort.InferenceSession, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> ort.IOBinding:
    """A binding by which the session reads and writes these tensors themselves; they must outlive it."""
    binding, named = session.io_binding(), _named(inputs)
    for value in session.get_inputs():
        binding.bind_ortvalue_input(value.name, ort.OrtValue.ortvalue_from_numpy(named[value.name].numpy()))
    for value, tensor in zip(session.get_outputs(), outputs, strict=True):
        binding.bind_ortvalue_output(value.name, ort.OrtValue.ortvalue_from_numpy(tensor.numpy()))
    return binding


def quantize(models: Sequence[onnx.ModelProto], images: Sequence[np.ndarray], threads: int) -> list[onnx.ModelProto]:
    """int8 versions of a chain. Later stages are calibrated on what the fp32 stages before them give.

    images: float32 [1, 3, size, size] each. The decoding of boxes and the softmax stay in fp32.
    """
    states: list[list[np.ndarray]] = [[image] for image in images]
    narrow = saturates()
    quantized = []
    with bar("calibrating int8", len(models)) as advance:
        for model in models:
            quantized.append(quantize_stage(model, states, narrow))
            if len(quantized) < len(models):
                session, _ = open_session(model.SerializeToString(), threads)
                names = [output.name for output in session.get_outputs()[:-2]]
                states = [session.run(names, feed) for feed in _feeds(model, states)]
            advance()
    return quantized


def quantize_stage(model: onnx.ModelProto, states: Sequence[Sequence[np.ndarray]], narrow: bool) -> onnx.ModelProto:
    """One stage in int8: activations uint8, weights int8 per channel (7 bits of them when `narrow`)."""

    class Reader(quantization.CalibrationDataReader):
        feeds = _feeds(model, states)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.feeds, None)

    with TemporaryDirectory() as folder:
        given, prepared, result = (Path(folder, f"{name}.onnx") for name in ("given", "prepared", "int8"))
        onnx.save_model(model, given)
        quantization.shape_inference.quant_pre_process(given, prepared, skip_symbolic_shape=True)
        nodes = onnx.load_model(prepared).graph.node
        quantization.quantize_static(
            prepared,
            result,
            Reader(),
            op_types_to_quantize=QUANTIZED,
            nodes_to_exclude=[node.name for node in nodes if "/decode/" in node.name],
            per_channel=True,
            reduce_range=narrow,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            extra_options={"CalibMovingAverage": True},  # mean range over the images: one outlier must not set it
        )
        return onnx.load_model(result)


def saturates() -> bool:
    """Whether this CPU cuts sums of uint8 x int8 products at 16 bits (x86 without VNNI does), seen by trying."""
    product = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]> product (uint8[16, 64] a, int8[64, 16] b) => (int32[16, 16] c)'
        "{ c = MatMulInteger(a, b) }"
    )
    session, _ = open_session(product.SerializeToString(), 1)
    feed = {"a": np.full((16, 64), 255, np.uint8), "b": np.full((64, 16), 127, np.int8)}
    return bool((session.run(None, feed)[0] != 64 * 255 * 127).any())


def _named(state: Sequence[Any]) -> dict[str, Any]:
    return {f"state{index}": part for index, part in enumerate(state)}


def _feeds(model: onnx.ModelProto, states: Sequence[Sequence[np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
    """What the model reads of each state; the exporter drops the parts that a stage does not use."""
    read = {value.name for value in model.graph.input}
    for state in states:
        yield {name: part for name, part in _named(state).items() if name in read}
