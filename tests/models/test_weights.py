"""Weights are read from whatever holds them; what is broken or could be executed is one clear line."""

import argparse
import os
import pickle
import struct
import warnings
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.errors import UserError
from models.weights import read

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.count": torch.tensor(3)}


def saved(path: Path, content) -> str:
    torch.save(content, path)
    return str(path)


def same(found) -> bool:
    return found.keys() == STATE.keys() and all(torch.equal(found[name], part) for name, part in STATE.items())


def prefixed(prefix: str) -> dict:
    return {f"{prefix}{name}": part for name, part in STATE.items()}


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        OrderedDict(STATE),
        {"model": STATE, "epoch": 3},
        {"state_dict": prefixed("model."), "epoch": 3, "args": argparse.Namespace(lr=0.1)},
        {"model_state_dict": prefixed("module."), "optimizer": {"state": {}}},
        {"ema": {"module": STATE, "updates": 7}, "model": None},
        {"model": {"state_dict": prefixed("_orig_mod.module.")}, "best": 0.5},
        {"model_ema": {"n_averaged": torch.tensor(5), **prefixed("module.")}},
    ],
)
@pytest.mark.parametrize("suffix", ["pth", "pt"])
def test_a_state_dict_is_found_wherever_a_training_put_it(tmp_path, content, suffix):
    assert same(read(saved(tmp_path / f"w.{suffix}", content), "fix"))


def test_safetensors_are_read_too_with_what_wrappers_put_in_front(tmp_path):
    save_file(prefixed("module."), tmp_path / "w.safetensors")
    assert same(read(str(tmp_path / "w.safetensors"), "fix"))


def test_a_prefix_goes_only_where_all_have_it(tmp_path):
    content = {"module.a": torch.zeros(1), "b": torch.zeros(1)}
    assert list(read(saved(tmp_path / "w.pth", content), "fix")) == ["module.a", "b"]


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_single_and_integers_stay(tmp_path, kind):
    half = {name: part.to(kind) if part.is_floating_point() else part for name, part in STATE.items()}
    save_file(half, tmp_path / "w.safetensors")
    for path in (saved(tmp_path / "w.pth", half), str(tmp_path / "w.safetensors")):
        found = read(path, "fix")
        assert found["a.weight"].dtype == torch.float32
        assert found["a.count"].dtype == torch.int64


class Trap:
    """What leaves a marker as soon as it is unpickled without care."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("nested", [True, False])
def test_a_hostile_pickle_is_not_executed(tmp_path, protocol, nested):
    content = {"model": STATE, "extra": Trap(tmp_path / "marker")} if nested else Trap(tmp_path / "marker")
    torch.save(content, tmp_path / "zip.pth", pickle_protocol=protocol)
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(content, protocol=protocol))
    for name in ("zip.pth", "plain.pth"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(UserError, match="not a PyTorch state dict"):
                read(str(tmp_path / name), "fix")
    assert not (tmp_path / "marker").exists()
    torch.load(tmp_path / "zip.pth", weights_only=False)
    assert (tmp_path / "marker").exists()  # it would have left one


def test_what_a_pickle_holds_beside_tensors_is_named(tmp_path):
    with pytest.raises(UserError, match=r"it holds torch\.nn\.modules\.linear\.Linear beside tensors"):
        read(saved(tmp_path / "w.pth", torch.nn.Linear(1, 1)), "fix")


def broken(folder: Path) -> dict[str, bytes]:
    """Contents of files that are no weights, by name."""
    whole = Path(saved(folder / "whole.pth", STATE)).read_bytes()
    save_file(STATE, folder / "whole.safetensors")
    safe = (folder / "whole.safetensors").read_bytes()
    return {
        "empty.pth": b"",
        "empty.safetensors": b"",
        "half.pth": whole[: len(whole) // 2],
        "half.safetensors": safe[: len(safe) // 2],
        "junk.pth": b"not a checkpoint",
        "junk.safetensors": b"not a checkpoint at all",
        "short.safetensors": b"\x01",
        "overlong.safetensors": struct.pack("<Q", 1 << 40) + b"{}",
        "over.safetensors": struct.pack("<Q", 2) + b"{}" + b"rest",
        "other.pth": pickle.dumps({"a": 1}),
    }


def test_every_broken_file_is_one_line_that_names_it(tmp_path):
    for name, content in broken(tmp_path).items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="not a PyTorch state dict") as raised:
            read(str(tmp_path / name), "fix")
        said = str(raised.value)
        assert said.startswith(str(tmp_path / name))
        assert "\n" not in said
        assert len(said) < len(str(tmp_path)) + 260


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], "it holds list"),
        ({}, "it holds nothing"),
        ({"epoch": 3, "model": {"lr": 0.1}}, "it holds keys epoch, model"),
        ({1: torch.zeros(1)}, "it holds keys 1"),
        (torch.zeros(2), "it holds Tensor"),
    ],
)
def test_what_is_no_state_dict_is_said(tmp_path, content, said):
    with pytest.raises(UserError, match=said):
        read(saved(tmp_path / "w.pth", content), "fix")


def test_a_folder_or_nothing_is_no_file(tmp_path):
    with pytest.raises(UserError, match=r"a folder is no weights file \(give one\)"):
        read(str(tmp_path), "give one")
    with pytest.raises(UserError, match=r"no such weights file \(give one\)"):
        read(str(tmp_path / "nothing.pth"), "give one")
