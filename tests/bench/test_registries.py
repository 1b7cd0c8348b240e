"""Every registry takes what a package brings, is listed without torch, and closes when a run begins."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.pipeline import run
from bench.registries import registries
from bench.spec import read
from models.errors import UserError

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "numba", "openvino", "transformers", "scipy", "matplotlib")
WATCHED = f"""
import sys
sys.argv[0] = "bench"
from bench.cli import main
try:
    main()
finally:
    print("imported:", *[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""


def watched(*arguments: str, plugins: Path | None = None) -> subprocess.CompletedProcess:
    """The command line in a process of its own, which says at its end what heavy packages it has imported."""
    found = {"PYTHONPATH": os.pathsep.join(map(str, filter(None, (ROOT, plugins)))), "COLUMNS": "100"}
    command = [sys.executable, "-c", WATCHED, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | found)


@pytest.fixture
def package(tmp_path) -> Path:
    """A folder as an installer leaves it, with a package that brings one thing of every kind."""
    (tmp_path / "theirs.py").write_text(
        "import torch\ndef experiment(twice: int = 1):\n    print('theirs ran', 2 * twice)\n"
    )
    info = tmp_path / "exit_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: exit-plugin\nVersion: 1.0\nSummary: made for a test\n")
    groups = [f"[{one.group}]\ntheirs-{number} = theirs:experiment\n" for number, one in enumerate(registries())]
    (info / "entry_points.txt").write_text("\n".join(groups))
    return tmp_path


@pytest.mark.parametrize("arguments", ["--help", "ls", "run --help", "ablate --help", "probe --help", "data --help"])
def test_what_only_says_what_there_is_does_not_wait_for_torch(arguments):
    done = watched(*arguments.split())
    assert done.returncode == 0
    assert done.stderr == "imported:\n"


def test_what_a_package_brings_is_listed_with_its_name_and_without_loading_it(package):
    done = watched("ls", plugins=package)
    assert done.stderr == "imported:\n"
    lines = [line.split() for line in done.stdout.splitlines()]
    for number, one in enumerate(registries()):
        assert [one.kind, f"theirs-{number}", "made", "for", "a", "test", "exit-plugin"] in lines
    kinds = {line[0] for line in lines if line[-1] == "exitbench"}
    assert kinds == {"preset", *(one.kind for one in registries())}


@pytest.mark.slow
def test_an_experiment_of_a_package_is_a_command(package):
    number = [one.kind for one in registries()].index("experiment")
    done = watched("ablate", f"theirs-{number}", "--twice", "4", plugins=package)
    assert done.stdout == "theirs ran 8\n"
    assert watched("ablate", "--help", plugins=package).stderr == "imported:\n"


def test_a_package_that_takes_a_name_of_ours_is_one_line(package):
    info = package / "exit_plugin-1.0.dist-info" / "entry_points.txt"
    info.write_text("[exitbench.experiments]\nphases = theirs:experiment\n")
    done = watched("ablate", "phases", plugins=package)
    assert done.returncode == 2
    assert "two packages bring the experiment 'phases': exitbench and exit-plugin" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_old_name_of_an_experiment_still_works_and_is_not_listed():
    assert "ablate auxiliary-losses" in watched("ablate", "lessons", "--help").stdout
    assert "lessons" not in watched("ablate", "--help").stdout
    assert "did you mean 'phases'" in watched("ablate", "phase").stderr


@pytest.fixture
def open_again(monkeypatch):
    """All registries as if no run had begun, until the test ends."""
    for one in registries():
        monkeypatch.setattr(one, "_frozen", False)
        monkeypatch.setitem(vars(one), "_entries", dict(one._entries))


@pytest.mark.usefixtures("open_again")
def test_a_run_that_begins_closes_every_registry(tmp_path):
    for one in registries():
        one.add("early", len)
    with pytest.raises(UserError, match="/nowhere"):
        run(read("smoke", None, {"data.source": "coco:/nowhere"}), tmp_path)
    for one in registries():
        with pytest.raises(UserError, match=f"the {one.kind} 'late' comes too late"):
            one.add("late", len)


def test_no_two_registries_share_a_group_or_a_kind():
    assert len({one.group for one in registries()}) == len({one.kind for one in registries()}) == len(registries())
