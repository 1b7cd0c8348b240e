"""A file is replaced whole or not at all, text reads alike in every locale, and what is refused is one clear line."""

import ast
import errno
import os
from pathlib import Path

import pytest

from bench import files
from bench.files import read_json, read_text, read_toml, replacing
from models.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("bench", "models", "strategies", "results", "benchmarks")
TEXT = 'name = "für Halle 3"\n'


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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_is_the_same_whatever_its_mark_and_line_ends(tmp_path, encoding, end):
    path = tmp_path / "x.toml"
    path.write_bytes(TEXT.replace("\n", end).encode(encoding))
    assert read_text(path) == TEXT
    assert read_toml(path) == {"name": "für Halle 3"}


@pytest.mark.parametrize("mark", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_known_in_either_order(tmp_path, mark):
    (tmp_path / "x").write_bytes(("\ufeff" + TEXT).encode(mark))
    assert read_text(tmp_path / "x") == TEXT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXT.encode("cp1252"), "not UTF-8 text: byte 0xfc at offset 9 (save it as UTF-8)"),
        (b"\xef\xbb\xbf\xe9", "not UTF-8 text: byte 0xe9 at offset 3 (save it as UTF-8)"),
        (TEXT.encode("utf-16")[:-1], "not UTF-16 text: byte 0x0a at offset 42 (save it as UTF-8)"),
    ],
)
def test_other_text_is_one_line(tmp_path, content, message):
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    for read in (read_text, read_toml):
        with pytest.raises(UserError) as refused:
            read(path)
        assert str(refused.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", "not TOML"),
        (f"a = {'9' * 5000}", "integer of thousands of digits"),
        (f"a = 0x{'f' * 5000}", "integer of more than 64 bits"),
        (f"a = {2**63}", "integer of more than 64 bits"),
        (f"a = {'[' * 50_000}", "nested more than 100 deep"),
        (f"a = {'[' * 100}{']' * 100}", "nested more than 100 deep"),
        (f"{'.'.join('a' * 2_000)} = 1", "nested more than 100 deep"),
    ],
)
def test_no_toml_is_one_line(tmp_path, text, message):
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"^.*x\.toml: [^\n]*{message}[^\n]*\(fix it\)$"):
        read_toml(path, "fix it")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("9" * 5000, "integer of thousands of digits"),
        ("[" * 50_000, "nested more than 100 deep"),
        ("[" * 101 + "]" * 101, "nested more than 100 deep"),
    ],
)
def test_no_json_is_one_line(tmp_path, text, message):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"^.*x\.json: [^\n]*{message}[^\n]*\(fix it\)$"):
        read_json(path, "fix it")


def test_what_is_at_the_limits_is_read(tmp_path):
    text = f"[{'[' * 98}{2**63 - 1}, {-(2**63)}, true, null, 1.5{']' * 98}]"
    (tmp_path / "x").write_text(text)
    assert str(2**63 - 1) in str(read_json(tmp_path / "x", ""))
    (tmp_path / "ids").write_text(str([2**64 - 1, 2**127]))  # as images may have
    assert read_json(tmp_path / "ids", "") == [2**64 - 1, 2**127]


def test_no_file_and_a_folder_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r"gone: there is no such file \(fix it\)"):
        read_toml(tmp_path / "gone", "fix it")
    with pytest.raises(UserError, match=r"cannot be read: .*directory \(fix it\)"):
        read_json(tmp_path, "fix it")


def test_our_own_text_is_written_in_utf_8_whatever_the_locale():
    """Ruff asks for it where it knows that something is a path; here, of everything that is called so."""
    ours = [ROOT / "exitbench.py", *(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))]
    calls = [
        (path, node)
        for path in ours
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    named = [(path, call) for path, call in calls if call.func.attr in ("read_text", "write_text")]
    assert named
    assert not [f"{p}:{c.lineno}" for p, c in named if "encoding" not in {given.arg for given in c.keywords}]
