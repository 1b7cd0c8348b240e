"""Runtimes by name, imported when one is asked for.

Ours are listed here; anyone else's join through the entry-point group `exitbench.runtimes`.

A runtime is a module that has

- PRECISIONS, the candidates it can run: {"fp32", "int8"};
- BATCHES, whether its artifacts make chains for more than one image;
- build(candidate, *, threads, folder) -> Artifact (`bench.runtimes.base`);
- where they matter, LIBRARIES: the distributions whose versions move its numbers, which records then name;
- where it can be missing something, ready(): raises UserError when it is.
"""

from __future__ import annotations

from typing import Any

from models.errors import UserError
from models.registry import Registry

RUNTIMES: Registry[Any] = Registry(
    "runtime",
    "exitbench.runtimes",
    "--runtime",
    {
        "openvino": ("bench.runtimes.openvino", "OpenVINO on the CPU, fp32 and int8 (NNCF): what would be shipped"),
        "onnxruntime": ("bench.runtimes.onnxruntime", "ONNX Runtime on the CPU, fp32 and int8 (static QDQ)"),
        "inductor": ("bench.runtimes.inductor", "torch.compile, fp32 and int8 (torchao); needs a C++ compiler"),
        "eager": ("bench.runtimes.eager", "PyTorch as it is written, fp32: for checking, not for speed"),
    },
)


def runtime_module(name: str) -> Any:
    """The module behind a runtime's name.

    Args:
        name: of the runtime.

    Returns:
        The module.

    Raises:
        UserError: there is no such runtime, or its packages are missing.
    """
    try:
        return RUNTIMES.get(name)
    except ImportError as error:
        what = f"runtime {name!r} needs the package {error.name!r}"
        raise UserError(what, where="--runtime", fix=f"pip install 'exitbench[{name}]'") from error


def libraries(name: str) -> tuple[str, ...]:
    """The distributions whose versions move a runtime's numbers, beside those that move everybody's."""
    return tuple(getattr(runtime_module(name), "LIBRARIES", ()))
