"""The inductor backend of torch.compile with frozen weights: one program per stage.

Convolutions are oneDNN's; pointwise work is C++ that is compiled on the spot. int8 is torchao's static post-training
quantization for x86, calibrated stage by stage on the training images that the candidate carries.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch._dynamo.exc import BackendCompilerFailed
from torch._inductor import config
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import CppCompileError, InvalidCxxCompiler
from torch.fx import GraphModule
from torch.profiler import ProfilerActivity, profile

from bench.files import replacing
from bench.progress import bar
from bench.runtimes import base
from bench.runtimes.eager import EagerChain
from models.detector import Detector, State
from models.errors import UserError
from models.pixels import resize
from strategies.base import Candidate

if find_spec("torchao") is None:
    raise ModuleNotFoundError("No module named 'torchao'", name="torchao")

PRECISIONS = {"fp32", "int8"}
LIBRARIES = ("torchao",)
BATCHES = False  # each size would take a minute to compile

# Candidates take turns and share oneDNN's cache of ready-made kernels. Beyond its 1,024 places they would push each
# other's out, and every call would pay for making them again. Read when torch runs its first convolution.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "65536")
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # keeps the profiler that counts kernels from writing to stderr

INT8_KERNELS = ("onednn::qconv", "onednn::qlinear")
FP32_KERNELS = ("mkldnn::_convolution", "mkldnn::_linear", "aten::convolution", "aten::addmm", "aten::mm", "aten::bmm")

Program = Callable[..., tuple[Tensor, ...]]


class InductorArtifact:
    """One compiled program per stage (`bench.runtimes.base.Artifact`)."""

    def __init__(self, programs: Sequence[Program], precisions: dict[str, int], size: int, threads: int):
        self.bytes, self.host_threads = size, threads
        self.audit: dict[str, Any] = {"layers_by_precision": precisions}
        self._programs = programs

    def chain(self, batch: int) -> EagerChain:
        """Its stages, ready to run on one image.

        Args:
            batch: 1.

        Returns:
            The chain.

        Raises:
            UserError: more than one image is asked for, and each batch size would take a minute to compile.
        """
        if batch > 1:
            raise UserError(
                "inductor programs are compiled for one image at a time",
                where="--batches",
                fix="time batches on another runtime",
            )
        return EagerChain(self._programs)


def build(candidate: Candidate, *, threads: int, folder: Path) -> InductorArtifact:
    """Build a candidate's artifact.

    Args:
        candidate: what to build.
        threads: of its programs.
        folder: where the files that would be shipped are written.

    Returns:
        The artifact.

    Raises:
        UserError: the C++ compiler fails.
    """
    detector = candidate.detector
    graphs = capture(detector)
    if candidate.precision == "int8":
        pixels = [torch.from_numpy(resize(image, detector.size))[None] for image in candidate.calibration]
        graphs = quantize(graphs, pixels, candidate.keep)
    path = folder / "model.safetensors"
    with replacing(path) as partial:
        save_file(weights(graphs), partial)
    programs, precisions = compile_graphs(graphs, detector.size, threads)
    return InductorArtifact(programs, precisions, path.stat().st_size, threads)


def ready() -> None:
    """Refuse to go on without a C++ compiler.

    Raises:
        UserError: there is none.
    """
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise UserError(
            "the inductor runtime needs a C++ compiler",
            where="--runtime inductor",
            fix="install g++ or point CXX at one, or use --runtime openvino",
        ) from error


@torch.no_grad()
def capture(detector: Detector) -> list[GraphModule]:
    """One static-shape graph per stage, each with forward code of its own."""
    return [torch.export.export(*each).module(check_guards=False) for each in base.programs(detector)]


@torch.no_grad()
def quantize(graphs: Sequence[GraphModule], images: Sequence[Tensor], keep: Sequence[str] = ()) -> list[GraphModule]:
    """Quantize a chain to int8: activations per tensor, weights per channel; the softmax stays in fp32.

    A graph that is being calibrated still computes in fp32, so later stages are calibrated on what the fp32 stages
    before them give.

    Args:
        graphs: one per stage, in fp32.
        images: to calibrate on, uint8 [1, size, size, 3] each.
        keep: module paths; what lies under them stays in fp32.

    Returns:
        One graph per stage.
    """
    with _quiet():
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86
    cpu = torch.cpu.get_capabilities()
    narrow = not (cpu.get("avx512_vnni") or cpu.get("avx_vnni"))  # without VNNI full-range products would saturate
    scheme = x86.get_default_x86_inductor_quantization_config(reduce_range=narrow)
    quantizer = x86.X86InductorQuantizer().set_global(scheme)
    for part in keep:
        quantizer.set_module_name_qconfig(f"stage.{part}", None)
    states: list[State] = [(image,) for image in images]
    quantized = []
    with bar("calibrating int8", len(graphs) * len(states)) as advance:
        for graph in graphs:
            watched = prepare_pt2e(graph, quantizer)
            for index, state in enumerate(states):
                states[index] = tuple(watched(*state)[:-2])
                advance()
            quantized.append(convert_pt2e(watched))
    return quantized


def weights(graphs: Sequence[GraphModule]) -> dict[str, Tensor]:
    """The tensors that the graphs read, by stage and name."""
    found = {}
    for number, graph in enumerate(graphs, start=1):
        read = {node.target for node in graph.graph.find_nodes(op="get_attr")}
        for name, tensor in graph.state_dict().items():
            if name in read:
                found[f"stage{number}.{name}"] = tensor.clone().contiguous()
    return found


@torch.inference_mode()
def compile_graphs(graphs: Sequence[GraphModule], size: int, threads: int) -> tuple[list[Program], dict[str, int]]:
    """Compile graphs, each by its first run.

    Their guards are left out: shapes are fixed and each graph has one caller, while another thread count, say, would
    compile anew, then without frozen weights.

    Args:
        graphs: one per stage.
        size: side of the input, px.
        threads: of the programs.

    Returns:
        The programs in order, and how many layers they run in each precision.

    Raises:
        UserError: the C++ compiler fails.
    """
    state: Sequence[Tensor] = (torch.zeros(1, size, size, 3, dtype=torch.uint8),)
    found: Counter[str] = Counter()
    programs = []
    with bar("compiling", len(graphs)) as advance, _quiet(), config.patch({"freezing": True, "cpp.threads": threads}):
        for graph in graphs:
            # Made anew each time: torch.compile empties what it gets.
            unguarded: dict[str, Any] = {"guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
            programs.append(torch.compile(graph, fullgraph=True, dynamic=False, options=unguarded))
            try:
                *following, _, _ = programs[-1](*state)
            except BackendCompilerFailed as error:
                raise _explained(error) from error
            found.update(kernel_precisions(programs[-1], state))
            state = following
            advance()
    return programs, dict(found)


def kernel_precisions(program: Program, state: Sequence[Tensor]) -> dict[str, int]:
    """How many convolutions and matrix products one run really executes in each precision, as the profiler saw it."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        program(*state)
    found: Counter[str] = Counter()
    for event in seen.key_averages():
        for precision, kernels in (("i8", INT8_KERNELS), ("f32", FP32_KERNELS)):
            if event.key.startswith(kernels):
                found[precision] += event.count
    return dict(found)


def _explained(error: BackendCompilerFailed) -> Exception:
    """A C++ compiler that fails is the machine's fault (most often Python's headers are missing); the rest are bugs."""
    if not isinstance(error.inner_exception, CppCompileError):
        return error
    lines = [line for line in error.inner_exception.output.splitlines() if "error" in line]
    return UserError(
        f"the C++ compiler failed: {lines[0].strip()[:160] if lines else 'no message'}",
        where="--runtime inductor",
        fix="install Python's headers (python3-dev), or use --runtime openvino",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch and torchao quiet: they warn of what no user of this program can change."""
    logger = logging.getLogger("torch.utils")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
