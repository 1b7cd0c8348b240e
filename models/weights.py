"""Weights out of a file, whoever saved it: PyTorch's or safetensors, bare or inside a training's checkpoint.

Only tensors are read. What else a pickle would have built or called is refused and never executed.
"""

from __future__ import annotations

import argparse
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from models.errors import UserError

NESTS = ("model", "state_dict", "model_state_dict", "ema", "model_ema", "module")  # the first that holds a state dict
PREFIXES = ("module.", "_orig_mod.", "model.")  # of wrappers: data-parallel, compiled, Lightning's
SAVE = "save a state dict: torch.save(model.state_dict(), FILE)"


def read(source: str, fix: str) -> dict[str, Tensor]:
    """Read a state dict.

    Args:
        source: path of a safetensors file (by its suffix), or of one that torch.save wrote. In a checkpoint the state
            dict may lie under one of NESTS, however deep, and all its keys may begin with PREFIXES.
        fix: what may be given in place of a file that is not there.

    Returns:
        Tensors by name on the CPU, floating-point ones as float32.

    Raises:
        UserError: there is no such file, it is broken, or it holds no state dict.
    """
    path = Path(source)
    if path.is_dir():
        raise UserError("a folder is no weights file", where=source, fix=fix)
    if not path.is_file():
        raise UserError("no such weights file", where=source, fix=fix)
    safe = path.suffix == ".safetensors"
    kind = "state dict in safetensors format" if safe else "state dict"
    try:
        if not path.stat().st_size:
            raise ValueError("the file is empty")
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):  # plain attributes
            warnings.simplefilter("ignore")
            held = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file makes these libraries raise nearly anything
        raise UserError(f"not a PyTorch {kind}: {reason(error)}", where=source, fix=SAVE) from error
    state = unwrapped(held)
    if state is None:
        names = ", ".join(map(str, list(held)[:3])) if isinstance(held, Mapping) else ""
        what = f"keys {names}" if names else "nothing" if isinstance(held, Mapping) else type(held).__name__
        raise UserError(f"not a PyTorch {kind}: it holds {what}", where=source, fix=SAVE)
    return {name: part.float() if part.is_floating_point() else part for name, part in bare(state).items()}


def reason(error: Exception) -> str:
    """Say in a few words why weights could not be loaded: without the advice to execute what a pickle holds."""
    text = str(error).strip()
    if found := re.search(r"GLOBAL (\S+)", text):
        return f"it holds {found[1]} beside tensors, which is not loaded from a file"
    if text.startswith("Weights only load failed"):
        return "no pickle of tensors"
    return text.splitlines()[0].strip()[:120] if text else "it ends too early"


def unwrapped(held: Any) -> Mapping[str, Tensor] | None:
    """Find the state dict in what a file holds; None: there is none."""
    if not isinstance(held, Mapping) or not held:
        return None
    if all(isinstance(name, str) and isinstance(part, Tensor) for name, part in held.items()):
        return held
    inner = (unwrapped(held[nest]) for nest in NESTS if nest in held)
    return next((state for state in inner if state is not None), None)


def bare(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict under the network's own names, without what wrappers put in front of all of them."""
    found = {name: part for name, part in state.items() if name != "n_averaged"}  # that of torch's AveragedModel
    while prefix := next((one for one in PREFIXES if found and all(name.startswith(one) for name in found)), ""):
        found = {name.removeprefix(prefix): part for name, part in found.items()}
    return found
