"""ONNX Runtime on the CPU: one graph per stage, each reading the outputs of the one before in place.

int8 is ONNX Runtime's static quantization, calibrated stage by stage on the training images that the candidate carries.
"""

from __future__ import annotations

import io
import warnings
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
from bench.runtimes.base import audit, programs, write_rows
from models.detector import Detector, State
from models.pixels import resize
from strategies.base import Candidate

PRECISIONS = {"fp32", "int8"}
BATCHES = True
BATCH = "batch"
OPSET = 20  # the newest that the exporter used below can write

# Sums and poolings between these run in int8 as well; hard swish has no int8 kernel, only the product in it.
QUANTIZED = ["Conv", "Gemm", "MatMul", "Relu", "Clip", "Mul"]
FLOAT_LAYERS = {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul"}
INT8_LAYERS = {"QLinearConv", "ConvInteger", "QGemm", "QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat"}
PRECISION_OF = dict.fromkeys(FLOAT_LAYERS, "f32") | dict.fromkeys(INT8_LAYERS, "i8")

ort.disable_telemetry_events()  # some builds report their use over the network


DTYPES = {"tensor(float)": torch.float32, "tensor(uint8)": torch.uint8}


class OnnxArtifact:
    """One ONNX file per stage (`bench.runtimes.base.Artifact`)."""

    host_threads = 1  # torch's own threads would compete with ONNX Runtime's

    def __init__(self, paths: Sequence[Path], threads: int):
        self.bytes = sum(path.stat().st_size for path in paths)
        self._paths, self._threads = paths, threads
        found: dict[str, list[str]] = {}
        for number, path in enumerate(paths, start=1):
            for precision, names in open_session(path.read_bytes(), threads)[1].items():
                found.setdefault(precision, []).extend(f"stage{number} {name}" for name in names)
        self.audit: dict[str, Any] = audit(found)

    def chain(self, batch: int) -> OnnxChain:
        """Its stages, ready to run on `batch` images at once."""
        return OnnxChain([open_session(path.read_bytes(), self._threads, batch)[0] for path in self._paths])


class OnnxChain:
    """Sessions bound to tensors, each of which reads the outputs of the one before (`bench.runtimes.base.Chain`)."""

    def __init__(self, sessions: Sequence[ort.InferenceSession]):
        self._pixels = torch.zeros(sessions[0].get_inputs()[0].shape, dtype=torch.uint8)
        self._programs, self._outputs = [], []
        inputs = [self._pixels]
        for session in sessions:
            outputs = [torch.zeros(output.shape, dtype=DTYPES[output.type]) for output in session.get_outputs()]
            self._programs.append((session, bind(session, inputs, outputs)))
            self._outputs.append(outputs)
            inputs = outputs[:-2]

    def start(self, pixels: Tensor) -> None:
        """Hand over the images, uint8 [N, size, size, 3]."""
        self._pixels.copy_(pixels)

    def step(self, stage: int) -> tuple[Tensor, Tensor]:
        """Run one stage: probabilities [N, 1 + C, A] and box code [N, A, 4]."""
        session, binding = self._programs[stage]
        session.run_with_iobinding(binding)
        probabilities, code = self._outputs[stage][-2:]
        return probabilities, code

    def state(self, stage: int) -> State:
        """What the stage handed to the next one, [N, ...] each."""
        return tuple(self._outputs[stage][:-2])

    def put(self, stage: int, state: Sequence[Tensor]) -> None:
        """Replace what the stage handed to the next one, row by row from the first."""
        write_rows(self.state(stage), state)


def build(candidate: Candidate, *, threads: int, folder: Path) -> OnnxArtifact:
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
    paths = [folder / f"stage{number}.onnx" for number in range(1, len(models) + 1)]
    for model, path in zip(models, paths, strict=True):
        with replacing(path) as partial:
            onnx.save_model(model, partial, format="protobuf")
    return OnnxArtifact(paths, threads)


def convert(detector: Detector) -> list[onnx.ModelProto]:
    """One ONNX model per stage, for any number of images.

    The tracing exporter is ten times quicker than the one that replaces it, and keeps global pooling and the modules'
    names, which int8 needs.

    Args:
        detector: in eval mode.

    Returns:
        The models, in order.
    """
    models = []
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        for program, state in programs(detector, batch=2):
            handed = len(program(*state)) - 2
            names = [*(f"next{index}" for index in range(handed)), "probabilities", "code"]
            file: Any = io.BytesIO()  # taken as well, although the signature names paths alone
            torch.onnx.export(
                program,
                state,
                file,
                input_names=list(_named(state)),
                output_names=names,
                dynamic_axes={name: {0: BATCH} for name in (*_named(state), *names)},
                opset_version=OPSET,
                dynamo=False,
            )
            models.append(onnx.load_model_from_string(file.getvalue()))
    return models


def open_session(model: bytes, threads: int, batch: int = 1) -> tuple[ort.InferenceSession, dict[str, list[str]]]:
    """Open a model for a number of images at once.

    Args:
        model: serialised.
        threads: of the session.
        batch: images at once.

    Returns:
        The session, and by precision the convolutions and matrix products that it really runs.
    """
    options = ort.SessionOptions()
    options.add_free_dimension_override_by_name(BATCH, batch)
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
    found: dict[str, list[str]] = {}
    for node in plan.graph.node:
        if node.op_type in PRECISION_OF:
            found.setdefault(PRECISION_OF[node.op_type], []).append(node.name)
    return session, found


def bind(session: ort.InferenceSession, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> ort.IOBinding:
    """Let a session read and write tensors themselves, without copies.

    Args:
        session: whose inputs and outputs they are.
        inputs: in the order of the stage's state; they must outlive the binding.
        outputs: in the order of the session's outputs; they must outlive it as well.

    Returns:
        The binding to run with.
    """
    binding, named = session.io_binding(), _named(inputs)
    for value in session.get_inputs():
        binding.bind_ortvalue_input(value.name, ort.OrtValue.ortvalue_from_numpy(named[value.name].numpy()))
    for value, tensor in zip(session.get_outputs(), outputs, strict=True):
        binding.bind_ortvalue_output(value.name, ort.OrtValue.ortvalue_from_numpy(tensor.numpy()))
    return binding


def quantize(
    models: Sequence[onnx.ModelProto], images: Sequence[np.ndarray], threads: int, keep: Sequence[str] = ()
) -> list[onnx.ModelProto]:
    """Quantize a chain to int8; the softmax stays in fp32.

    Later stages are calibrated on what the fp32 stages before them give.

    Args:
        models: one per stage, in fp32.
        images: to calibrate on, uint8 [1, size, size, 3] each.
        threads: of the stages that run to calibrate later ones.
        keep: module paths; what lies under them stays in fp32.

    Returns:
        One model per stage.
    """
    states: list[list[np.ndarray]] = [[image] for image in images]
    narrow = saturates()
    quantized = []
    with bar("calibrating int8", len(models)) as advance:
        for model in models:
            quantized.append(quantize_stage(model, states, narrow, keep))
            if len(quantized) < len(models):
                session, _ = open_session(model.SerializeToString(), threads)
                names = [output.name for output in session.get_outputs()[:-2]]
                states = [session.run(names, feed) for feed in _feeds(model, states)]
            advance()
    return quantized


def quantize_stage(
    model: onnx.ModelProto, states: Sequence[Sequence[np.ndarray]], narrow: bool, keep: Sequence[str] = ()
) -> onnx.ModelProto:
    """Quantize one stage: activations to uint8, weights to int8 per channel.

    Args:
        model: in fp32.
        states: what the stage is given, to calibrate on.
        narrow: use only 7 bits of the weights, for CPUs that would saturate (`saturates`).
        keep: module paths; what lies under them stays in fp32.

    Returns:
        The stage in int8.
    """

    class Reader(quantization.CalibrationDataReader):
        """Hands the states out one by one."""

        feeds = _feeds(model, states)

        def get_next(self) -> dict[str, np.ndarray] | None:
            """The next state, or None at the end."""
            return next(self.feeds, None)

    kept = tuple(f"stage.{part}." for part in keep)
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
            nodes_to_exclude=[node.name for node in nodes if module_path(node.name).startswith(kept)],
            per_channel=True,
            reduce_range=narrow,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            extra_options={"CalibMovingAverage": True},  # mean range over the images: one outlier must not set it
        )
        return onnx.load_model(result)


def module_path(node: str) -> str:
    """What a node does, and in which module: "/stage/blocks/blocks.0/blocks.0.1/Conv" is "stage.blocks.0.1.Conv"."""
    parts = node.strip("/").split("/")
    return ".".join(p for p, q in zip(parts, [*parts[1:], ""], strict=True) if not q.startswith(f"{p}."))


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
