"""`bench ablate NAME`: one command for each experiment, imported when it is run."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from bench.experiments.registry import EXPERIMENTS

RENAMED = {"lessons": "auxiliary-losses"}


class Experiments(TyperGroup):
    """The experiments of the registry as commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, as the registry orders them."""
        return list(EXPERIMENTS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command for lists: its name and what it is, without importing the experiment."""
        found = {entry.name: entry for entry in EXPERIMENTS.entries()}.get(cmd_name)
        return found and TyperCommand(found.name, help=found.summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command to run, which imports the experiment; names of before a renaming are understood."""
        name, *rest = args
        name = RENAMED.get(name, name)
        return name, command(name), rest


def command(name: str) -> Any:
    """An experiment as a command.

    Args:
        name: the experiment's name in the registry.

    Returns:
        A click command.

    Raises:
        UserError: no experiment has this name.
    """
    app = typer.Typer(add_completion=False)
    app.command(name)(EXPERIMENTS.get(name))
    return typer.main.get_command(app)


app = typer.Typer(cls=Experiments, no_args_is_help=True, help="Experiments about early exits themselves (bench ls).")


@app.callback()
def group() -> None:
    """A group although its commands are not listed here."""
