"""Every command that the docs show exists, with the options that they give it."""

import re
import shlex
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bench import cli
from bench.spec import presets
from tests.support.pages import PAGES, ROOT, blocks, name, prose

BENCH = typer.main.get_command(cli.app)
MAKE = set(re.findall(r"^([\w-]+(?: [\w-]+)*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
TARGETS = {target for line in MAKE for target in line.split()}
OTHERS = {"uv", "pipx", "pip", "python", ".venv/bin/ruff"}


def shown() -> list[tuple[str, list[str]]]:
    """Where each command stands, and its words: in blocks for the shell, in recipes, and in running text."""
    found = []
    for where, text in blocks("sh"):
        lines = text.replace("\\\n", " ").splitlines()
        found += [(where, shlex.split(part, comments=True)) for line in lines for part in line.split(" && ")]
    for where, text in blocks("yaml"):
        found += [
            (where, shlex.split(line.partition(">>")[0]))
            for line in re.findall(r"run: (bench .+)$", text, re.MULTILINE)
        ]
    for page in PAGES:
        found += [
            (name(page), shlex.split(text)) for text in re.findall(r"`(bench [a-z][^`]*|make [a-z-]+)`", prose(page))
        ]
    return [(where, words) for where, words in found if words]


SHOWN = shown()
COMMANDS = [(where, words) for where, words in SHOWN if words[0] == "bench" and "CHANGELOG" not in where]


def stands_for_any(word: str) -> bool:
    """Whether a word is a placeholder or an option, and no command."""
    return word.isupper() or word.startswith(("-", "..."))


def resolved(words: list[str]) -> tuple[list[str], Any, list[str]]:
    """The names of a command and its group, the command itself, and what is handed to it."""
    path, command, rest = [], BENCH, words[1:]
    while hasattr(command, "resolve_command") and rest and not stands_for_any(rest[0]):
        context = typer.Context(command)
        assert rest[0] in command.list_commands(context), f"no command {' '.join(words)}"
        name, command, rest = command.resolve_command(context, rest)
        path.append(name)
    return path, command, rest


@pytest.mark.parametrize(
    ("where", "words"), COMMANDS, ids=[f"{where} {shlex.join(words)}" for where, words in COMMANDS]
)
def test_the_command_takes_what_the_docs_hand_to_it(where, words):
    _, command, rest = resolved(words)
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word for word in rest if word.startswith("--")} <= known
    if "--preset" in rest:
        assert rest[rest.index("--preset") + 1] in presets()


def test_help_of_every_command_in_the_docs():
    for path in {tuple(resolved(words)[0]) for _, words in COMMANDS}:
        said = CliRunner().invoke(cli.app, [*path, "--help"])
        assert said.exit_code == 0, said.output
        assert "Usage:" in said.output


def test_other_commands_exist():
    for where, words in SHOWN:
        if words[0] == "make":
            assert set(words[1:]) <= TARGETS, where
        elif words[0] == ".venv/bin/python":
            assert words[1] == "-m" or (ROOT / words[1]).exists(), where
        else:
            assert words[0] in OTHERS | {"bench"}, where


def test_the_newcomers_pages_show_commands():
    begun = {where.partition(":")[0] for where, _ in COMMANDS}
    assert {"README.md", "docs/quickstart.md", "docs/ci.md"} <= begun
