"""What a stranger meets: every mistake is one line on stderr and a non-zero status, never a traceback."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from bench import cli
from tests.support.stored import DETECTOR, stored_run
from tests.support.tiny import TOML

ROOT = Path(__file__).resolve().parents[2]
ASCII = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}


def bench(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capsys.readouterr()
    code = stopped.value.code
    return (code if isinstance(code, int) else int(bool(code))), out, err


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    (folder / "spec.toml").write_text(TOML)
    done = subprocess.run(
        [sys.executable, "-m", "bench", "run", "--spec", str(folder / "spec.toml"), "--out", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert any(line.split()[1:3] == ["baseline", "trained"] for line in done.stdout.splitlines())
    assert "No verdict" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100 + len(str(folder)) * 2
    assert len(done.stdout.splitlines()) <= 40
    assert (folder / "tiny" / "pareto.png").stat().st_size > 10_000
    assert "**prune**" in (folder / "tiny" / "report.md").read_text()
    return folder


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "--strategies", "erly_exit"], "did you mean 'early_exit'"),
        (["run", "--preset", "smok"], "did you mean 'smoke'"),
        (["run", "--preset", "smoke", "--runtime", "openvno"], "did you mean 'openvino'"),
        (["run", "--preset", "smoke", "--data", "coco:/nowhere"], "/nowhere"),
        (["run", "--data", "coco:/nowhere", "--weights", "none"], "/nowhere"),
        (["run", "--data", "coco:/nowhere", "--weights", __file__], "no pickle of tensors"),
        (["run", "--preset", "smoke", "--data", "cocoo:x"], "did you mean 'coco'"),
        (["run", "--preset", "smoke", "--classes", "person"], "shapes"),
        (["run", "--preset", "photographs", "--weights", "nothing.pth"], "no such weights file"),
        (["run", "--model", "yolo"], "did you mean 'yolos'"),
        (["run", "--model", "yolos", "--strategies", "early_exit"], "it is for ssdlite, not for yolos"),
        (["run", "--strategies", "multi_exit_yolos"], "it is for yolos, not for ssdlite"),
        (["run", "--model", "yolos-small", "--weights", "nothing.safetensors"], "no such weights file"),
        (["run", "--spec", "nothing.toml"], "nothing.toml"),
        (["report", "nothing"], "no such run"),
        (["sweep", "nothing"], "no such run"),
        (["sweep", "nothing", "--budget", "3kg"], "no budget"),
        (["sweep", "nothing", "--format", "jsn"], "did you mean 'json'"),
        (["check", "nothing"], "no such run"),
        (["compare", "nothing", "nothing"], "no such run"),
    ],
)
def test_mistakes_are_one_line(monkeypatch, capsys, tmp_path, arguments, expected):
    out = [] if arguments[0] == "check" else ["--out", str(tmp_path)]
    code, _, err = bench(monkeypatch, capsys, *arguments, *out)
    lines = [line for line in err.splitlines() if line.startswith("bench: ")]
    assert code == 2
    assert len(lines) == 1
    assert expected in lines[0]
    assert "Traceback" not in err


def test_ls_names_everything(monkeypatch, capsys):
    code, out, _ = bench(monkeypatch, capsys, "ls")
    assert code == 0
    for name in ("early_exit", "prune", "quant", "openvino", "smoke", "coco:DIR", "mean_background"):
        assert name in out


def test_help_shows_examples(monkeypatch, capsys):
    for command in ("run", "report", "compare", "sweep", "check"):
        code, out, _ = bench(monkeypatch, capsys, command, "--help")
        assert code == 0
        assert f"bench {command}" in out.split("Example")[1]


def test_an_existing_run_is_not_overwritten(monkeypatch, capsys, runs):
    arguments = ["run", "--spec", str(runs / "spec.toml"), "--out", str(runs)]
    code, _, err = bench(monkeypatch, capsys, *arguments)
    assert code == 2
    assert "exists already" in err
    assert "--resume" in err
    code, _, err = bench(monkeypatch, capsys, *arguments, "--resume", "--seed", "5")
    assert code == 2
    assert "other settings" in err


def test_a_run_that_never_started_does_not_block_its_name(monkeypatch, capsys, tmp_path):
    tiny = tmp_path / "spec.toml"
    for data in ('source = "coco:/nowhere"', 'source = "coco:/elsewhere"'):
        tiny.write_text(TOML.replace("sizes = [16, 4, 6]", data))
        code, _, err = bench(monkeypatch, capsys, "run", "--spec", str(tiny), "--out", str(tmp_path))
        assert code == 2
        assert "where" in err
        assert "exists already" not in err


def test_reports_in_every_format(monkeypatch, capsys, runs):
    code, out, _ = bench(monkeypatch, capsys, "report", "tiny", "--out", str(runs), "--format", "json")
    assert code == 0
    assert {record["strategy"] for record in json.loads(out)} == {"baseline", "prune"}
    code, out, _ = bench(monkeypatch, capsys, "report", str(runs / "tiny"), "--format", "csv")
    assert len(out.splitlines()) == 3
    code, out, _ = bench(monkeypatch, capsys, "report", "tiny", "--out", str(runs), "--format", "markdown")
    assert out.startswith("|")
    code, out, _ = bench(monkeypatch, capsys, "report", "tiny", "--out", str(runs), "--format", "latex")
    assert (code, out.count(r"\begin{tabular}")) == (0, 1)
    code, out, _ = bench(monkeypatch, capsys, "report", "tiny", "--out", str(runs), "--all")
    assert (code, "ms, p90: from the uint8 image in memory" in out) == (0, True)
    code, _, err = bench(monkeypatch, capsys, "report", "tiny", "--out", str(runs), "--format", "jsn")
    assert code == 2
    assert "did you mean 'json'" in err


def test_compares_two_runs_in_every_format(monkeypatch, capsys, runs):
    def compare(*more):
        return bench(monkeypatch, capsys, "compare", "tiny", str(runs / "tiny"), "--out", str(runs), *more)

    code, out, _ = compare()
    assert code == 0
    assert "mAP of B: same 2" in out
    assert max(map(len, out.splitlines())) <= 100
    code, out, _ = compare("--format", "json")
    assert {change["time"]["decision"] for change in json.loads(out)["changes"]} == {"same"}
    assert len(compare("--format", "csv")[1].splitlines()) == 3
    assert compare("--format", "markdown")[1].startswith("- A: tiny")
    assert compare("--format", "latex")[1].count(r"\begin{tabular}") == 2
    code, out, err = compare("--format", "jsn")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "did you mean 'json'" in err


def test_runs_that_cannot_be_compared_are_one_line(monkeypatch, capsys, runs):
    def compared(change):
        records = runs / "other" / "records"
        records.mkdir(parents=True, exist_ok=True)
        for path in (runs / "tiny" / "records").glob("*.json"):
            (records / path.name).write_text(json.dumps({**json.loads(path.read_text()), **change}))
        code, out, err = bench(monkeypatch, capsys, "compare", "tiny", "other", "--out", str(runs))
        assert (code, out, err.count("\n")) == (2, "", 1)
        return err

    assert "test split" in compared({"split_hash": "0" * 64})
    assert "seed differs: 0 and 9" in compared({"seed": 9})
    (runs / "none" / "records").mkdir(parents=True)
    assert "holds no records" in bench(monkeypatch, capsys, "compare", "tiny", "none", "--out", str(runs))[2]


def test_a_sweep_prints_and_draws_or_exports(monkeypatch, capsys, tmp_path):
    folder = stored_run(tmp_path)
    arguments = ["sweep", "made", "--out", str(tmp_path), "--criteria", "max_score"]
    code, out, _ = bench(monkeypatch, capsys, *arguments, "--budget", "2ms", "--tolerance", "0.5")
    assert code == 0
    assert "within2ms" in out
    assert "tol50" in out
    assert (folder / f"sweep-{DETECTOR}.png").stat().st_size > 10_000
    assert r"\begin{tabular}" in bench(monkeypatch, capsys, *arguments, "--format", "latex")[1]
    code, out, _ = bench(monkeypatch, capsys, *arguments, "--format", "json", "--cost", "flops")
    assert json.loads(out)[0]["unit"] == "flops"


def test_a_sweep_needs_exits(monkeypatch, capsys, runs):
    code, _, err = bench(monkeypatch, capsys, "sweep", "tiny", "--out", str(runs))
    assert (code, err.count("\n")) == (2, 1)
    assert "it needs a strategy with exits" in err


def test_regression_checks_hold_or_fail_with_one_line_each(monkeypatch, capsys, runs, tmp_path):
    gates = tmp_path / "gates.toml"
    gates.write_text("[floor]\nbaseline.map50 = 0.0\n")
    code, out, _ = bench(monkeypatch, capsys, "check", "tiny", "--against", str(gates), "--out", str(runs))
    assert (code, out.count("\n")) == (0, 1)
    gates.write_text("[floor]\nbaseline.map50 = 1.0\nquant.map = 0.1\n")
    code, out, _ = bench(monkeypatch, capsys, "check", "tiny", "--against", str(gates), "--out", str(runs))
    assert (code, out.count("\n")) == (1, 2)


def test_checks_go_by_their_first_name_too_which_help_does_not_list(monkeypatch, capsys, runs, tmp_path):
    checks = tmp_path / "checks.toml"
    checks.write_text("[floor]\nbaseline.map50 = 1.0\n")
    arguments = ["tiny", "--against", str(checks), "--out", str(runs)]
    said = [bench(monkeypatch, capsys, name, *arguments)[:2] for name in ("check", "gate")]
    assert said[0] == said[1]
    assert said[0][0] == 1
    listed = re.findall(r"^. (\w+)", bench(monkeypatch, capsys, "--help")[1], re.M)
    assert "check" in listed
    assert "gate" not in listed


@pytest.mark.parametrize("encoding", ["", "ascii", "cp1252"])
def test_a_terminal_that_knows_ascii_only_can_be_printed_to(tmp_path, encoding):
    folder = stored_run(tmp_path, name="für")
    checks = tmp_path / "für.toml"
    checks.write_text('# für Halle 3\n[floor]\nnone.map = 0.5\n[drop]\n"für" = 3\n', encoding="utf-8")
    environment = os.environ | ASCII | {"PYTHONIOENCODING": encoding}

    def said(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "bench", *arguments]
        return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=False)

    done = said("check", str(folder), "--against", str(checks))
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"f\\xfcr: not in this run" in done.stdout or "für: not in this run".encode("cp1252") in done.stdout
    refused = said("report", "für", "--out", str(tmp_path / "none"))
    assert (refused.returncode, refused.stderr.count(b"\n")) == (2, 1)


def test_a_file_whose_name_the_locale_has_no_letters_for_is_one_line(tmp_path):
    spec = tmp_path / "spec.toml"
    spec.write_text(TOML.replace('"tiny"', '"für"'), encoding="utf-8")
    command = [sys.executable, "-m", "bench", "run", "--spec", str(spec), "--out", str(tmp_path)]
    done = subprocess.run(command, env=os.environ | ASCII, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "LC_ALL=C.UTF-8" in done.stderr


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on_and_loses_nothing(tmp_path):
    slow = TOML.replace("epochs = 1\nrate = 1e-3\n[strategy.prune]", "epochs = 500\nrate = 1e-3\n[strategy.prune]")
    (tmp_path / "spec.toml").write_text(slow)
    command = [sys.executable, "-m", "bench", "run", "--spec", str(tmp_path / "spec.toml"), "--out", str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # which a background job would pass on as ignored
    running = subprocess.Popen(command, preexec_fn=heard, **pipes)
    checkpoints = tmp_path / "tiny" / "checkpoints"
    deadline = time.monotonic() + 120
    while not list(checkpoints.glob("*.part")) and time.monotonic() < deadline:
        time.sleep(0.2)
    os.kill(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "interrupted" in err
    assert "--resume" in err
    assert "Traceback" not in err
    assert list(checkpoints.glob("*.part"))
    assert not [path for path in checkpoints.iterdir() if path.name.startswith(".")]
