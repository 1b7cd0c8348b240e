"""What is installed is all that a stranger needs: a wheel of the checkout, unpacked elsewhere, answers in Python and on
the command line. Nothing is downloaded: the libraries are those of this environment."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

import pytest

from tests.support.tiny import TOML

ROOT = Path(__file__).resolve().parents[1]
SESSION = """
import bench
assert bench.__file__.startswith({site!r}), bench.__file__
run = bench.load_run({reference!r})
print(run.verdict.sentence)
mine = bench.run(
    strategies=["prune"], preset="smoke", runtime="eager", threads=1, out="runs",
    options={{"data.sizes": [12, 4, 6], "model.size": 64, "measure.images": 3, "measure.repeats": 1,
             "measure.warmup": 1, "measure.resamples": 100, "strategy.baseline.epochs": 1}},
)
print(sorted(mine.to_pandas()["name"]), mine.folder)
mine.pareto("mine.png")
"""

STRANGER = 12345  # a number that the system has no name for
BECOME = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"]
INTERPRETERS = (sys.executable, shutil.which("python{}.{}".format(*sys.version_info), path="/usr/local/bin:/usr/bin"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy: setuptools leaves folders beside what it builds, and finds what they hold the next time."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("bench", "strategies", "models"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("exitbench.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "-w", copy / "out", copy], check=True)
    return next((copy / "out").glob("exitbench-*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_packages(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {"exitbench.py"}
    for name in ("bench", "strategies", "models"):
        files = [path for path in (ROOT / name).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        wanted |= {str(path.relative_to(ROOT)) for path in files}
    assert {"bench/presets/smoke.toml", "bench/py.typed", "models/py.typed", "strategies/py.typed"} <= wanted
    assert {path for path in packed if ".dist-info/" not in path} == wanted


@pytest.mark.slow
def test_a_stranger_measures_and_reads_outside_the_checkout(wheel, tmp_path):
    site, work = tmp_path / "site", tmp_path / "work"
    zipfile.ZipFile(wheel).extractall(site)
    work.mkdir()
    reference = ROOT / "results" / "reference" / "coco-person"
    session = SESSION.format(site=str(site), reference=str(reference))

    def python(*arguments: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(site)}
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
        return done.stdout

    answer, made = python("-c", session).splitlines()
    assert answer.split(":")[0] in ("WORTH IT", "NOT WORTH IT", "UNDECIDED")
    assert "'baseline-trained', 'prune-30pct'" in made
    assert (work / "mine.png").stat().st_size > 10_000
    (work / "models").mkdir()
    (work / "models" / "__init__.py").touch()
    shown = python("-m", "exitbench", "report", "smoke", "--all", "--out", "runs")
    assert "prune" in shown
    assert "30pct" in shown


@pytest.mark.slow
def test_somebody_without_a_name_or_a_home_measures_from_a_place_that_cannot_be_written(wheel, tmp_path):
    """As in a container run with --user: everything is another's, and only the work folder can be written."""
    if not shutil.which("setpriv") or os.getuid() != 0:
        pytest.skip("becoming somebody else takes root and setpriv")
    python = next((p for p in INTERPRETERS if p and runs(p)), None)
    if python is None:
        pytest.skip("no Python of this version that another user may start")
    with tempfile.TemporaryDirectory() as shared:  # pytest's own folders are closed to others
        site, work = Path(shared, "site"), Path(shared, "work")
        zipfile.ZipFile(wheel).extractall(site)
        work.mkdir()
        os.chmod(shared, 0o755)
        os.chown(work, STRANGER, STRANGER)
        (work / "spec.toml").write_text(TOML, encoding="utf-8")
        libraries = sysconfig.get_path("purelib")
        kept = {key: os.environ[key] for key in ("PATH", "OMP_NUM_THREADS") if key in os.environ}
        environment = kept | {"PYTHONPATH": f"{site}:{libraries}", "LC_ALL": "C", "TMPDIR": str(work)}
        for command in (["ls"], ["run", "--spec", "spec.toml", "--out", "runs"], ["report", "tiny", "--out", "runs"]):
            done = subprocess.run(
                [*BECOME, python, "-m", "exitbench", *command],
                cwd=work,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert "arning" not in done.stderr
        assert (work / f"exitbench-{STRANGER}").stat().st_mode & 0o777 == 0o700
        assert not (work / "~").exists()


def runs(python: str) -> bool:
    """Whether another user may start this Python, and it is of this one's version."""
    version = [*BECOME, python, "-c", "import sys; print(sys.version_info[:2])"]
    done = subprocess.run(version, capture_output=True, text=True, check=False, cwd="/")
    return done.stdout.strip() == str(sys.version_info[:2])
