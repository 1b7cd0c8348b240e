"""A file is replaced whole or not at all, and what the disk refuses is one clear line."""

import errno
import os

import pytest

from bench import files
from bench.files import replacing
from models.errors import UserError


def test_replaces_whole_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a" / "x.json"
    for text in ("one", "two"):
        with replacing(path) as partial:
            partial.write_text(text)
        assert path.read_text() == text
    assert os.listdir(path.parent) == ["x.json"]


def test_an_interrupt_keeps_the_old_file(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.json"]


def test_a_full_disk_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match=r"no space left.*--resume"), replacing(tmp_path / "x") as partial:
        partial.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_recognised_behind_a_librarys_own_error(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_free", lambda folder: 0)
    with pytest.raises(UserError, match="no space left"), replacing(tmp_path / "x"):
        raise RuntimeError("PytorchStreamWriter failed writing file")


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(RuntimeError, match="a bug"), replacing(tmp_path / "x"):
        raise RuntimeError("a bug")


def test_a_file_where_a_folder_belongs(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write here"), replacing(tmp_path / "file" / "x") as partial:
        partial.write_text("")
