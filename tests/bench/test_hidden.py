"""A folder of somebody else's called `models` or `strategies`: `import bench` says so in one line, the command does not
mind."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EDITABLE = f"""
import sys, importlib.machinery, importlib.util
class Editable:
    def find_spec(self, name, path=None, target=None):
        if name in ("bench", "models", "strategies"):
            return importlib.util.spec_from_file_location(name, f"{ROOT}/{{name}}/__init__.py")
sys.meta_path.append(Editable())
"""  # as setuptools installs a checkout for editing: a finder that is asked last


def python(*arguments: str, at: Path, path: str = "") -> subprocess.CompletedProcess:
    """Run Python in the folder `at`, which comes first on its search path; path: PYTHONPATH."""
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *arguments], cwd=at, env=environment, capture_output=True, text=True, check=False
    )


def decoy(folder: Path, name: str, kind: str) -> Path:
    """A package, a folder without __init__.py, or a single file."""
    if kind == "file":
        (folder / f"{name}.py").write_text("mine = True\n")
        return folder / f"{name}.py"
    (folder / name).mkdir()
    (folder / name / ("__init__.py" if kind == "package" else "net.py")).write_text("mine = True\n")
    return folder / name


@pytest.mark.parametrize("name", ["models", "strategies"])
@pytest.mark.parametrize("kind", ["package", "file"])
def test_import_says_in_one_line_what_hides_what(tmp_path, name, kind):
    place = decoy(tmp_path, name, kind)
    done = python("-c", "import bench", at=tmp_path, path=str(ROOT))
    said = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert said.startswith("bench.hidden.HiddenPackageError: ")
    assert f"hides the package {name} of exitbench" in said
    assert str(tmp_path) in said
    assert place.name in said
    assert str(ROOT / name) in said


@pytest.mark.parametrize("name", ["models", "strategies"])
def test_a_bare_folder_hides_a_checkout_that_is_installed_for_editing(tmp_path, name):
    decoy(tmp_path, name, "folder")
    done = python("-S", "-c", f"{EDITABLE}\nimport bench", at=tmp_path)
    assert f"hides the package {name} of exitbench" in done.stderr.splitlines()[-1]


def test_a_bare_folder_hides_nothing_else(tmp_path):
    decoy(tmp_path, "models", "folder")
    done = python("-c", "import bench, models.errors; print(models.errors.__file__)", at=tmp_path, path=str(ROOT))
    assert done.stdout.strip() == str(ROOT / "models" / "errors.py")


def test_nothing_is_hidden_without_a_decoy(tmp_path):
    code = "import sys; before = list(sys.path); import bench; assert sys.path == before; print(bench.__file__)"
    for done in (
        python("-c", code, at=ROOT),
        python("-c", code, at=tmp_path, path=str(ROOT)),
        python("-S", "-c", EDITABLE + code, at=tmp_path),
    ):
        assert done.stdout.strip() == str(ROOT / "bench" / "__init__.py"), done.stderr


def test_a_package_of_that_name_that_is_imported_already_is_noticed(tmp_path):
    decoy(tmp_path, "models", "package")
    code = f"import models, sys; sys.path[0] = {str(ROOT)!r}; import bench"
    assert "hides the package models" in python("-c", code, at=tmp_path).stderr.splitlines()[-1]


def test_run_as_modules_one_says_it_and_the_other_does_not_mind(tmp_path):
    decoy(tmp_path, "models", "package")
    done = python("-m", "bench", "--help", at=tmp_path, path=str(ROOT))
    assert done.returncode == 1
    assert "hides the package models of exitbench" in done.stderr.splitlines()[-1]
    done = python("-m", "exitbench", "--help", at=tmp_path, path=str(ROOT))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["package", "folder", "file"])
def test_the_command_does_not_mind(tmp_path, kind):
    for name in ("models", "strategies"):
        decoy(tmp_path, name, kind)
    module, function = re.search(r'^bench = "(.+):(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M).groups()
    code = f"""
import sys
from {module} import {function}
before, sys.argv = list(sys.path), ["bench", "--help"]
try:
    {function}()
except SystemExit as stopped:
    assert not stopped.code
import models, strategies
assert sys.path == before
print(models.__file__, strategies.__file__)
"""
    done = python("-c", code, at=tmp_path, path=f"{tmp_path}{os.pathsep}{ROOT}")
    assert done.returncode == 0, done.stderr
    assert "Usage: bench" in done.stdout
    ours = [str(ROOT / name / "__init__.py") for name in ("models", "strategies")]
    assert done.stdout.split()[-2:] == ours
