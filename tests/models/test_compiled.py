"""Compiled functions work wherever the package lies, and what is kept of them lies where nobody else can write."""

import importlib.util
import tempfile
from pathlib import Path

import pytest
from numba.core import config

from models.scratch import scratch_folder

SOURCE = """
from numba import prange
from models.compiled import compiled

@compiled
def doubled(number):
    return 2 * number

@compiled(parallel=True)
def counted(count):
    found = 0
    for one in prange(count):
        found += 1
    return found
"""


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """Where a module with compiled functions lies; numba is told of no folder, and the temporary one is empty."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    (tmp_path / "package").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "shared"))
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setenv("HOME", "/dev/null/none")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    return tmp_path / "package"


def works(place: Path) -> bool:
    path = place / "adding.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("adding", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.doubled(21) == 42 and module.counted(7) == 7


def test_they_are_kept_beside_the_source_where_that_can_be_written(place):
    assert works(place)
    assert list((place / "__pycache__").glob("*.nbi"))
    assert not list((place.parent / "shared").iterdir())


def test_they_are_kept_in_the_scratch_folder_where_nothing_else_can_be_written(place):
    (place / "__pycache__").touch()  # in the way, of root too
    assert works(place)
    assert len(list(scratch_folder().glob("numba/*/*.nbi"))) == 2
    assert config.CACHE_DIR == ""


def test_they_are_not_kept_where_there_is_no_safe_folder(place):
    (place / "__pycache__").touch()
    scratch_folder().chmod(0o777)
    assert works(place)
    assert not list((place.parent / "shared").rglob("*.nbi"))


def test_without_a_home_no_folder_called_tilde_is_made(place, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    (place / "__pycache__").touch()
    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setenv("HOME", "~")
    monkeypatch.chdir(place)
    assert works(place)
    assert not (place / "~").exists()
    assert list(scratch_folder().glob("numba/*/*.nbi"))


def test_numbas_own_setting_goes_before(place, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(place / "chosen"))
    assert works(place)
    assert len(list(place.glob("chosen/*/*.nbi"))) == 2
    assert str(place / "chosen") == config.CACHE_DIR
