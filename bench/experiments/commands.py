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
        return list(EXPERIMENTS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """For lists: the name and what it is. Nothing is imported."""
        found = {entry.name: entry for entry in EXPERIMENTS.entries()}.get(cmd_name)
        return found and TyperCommand(found.name, help=found.summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """For running: the command itself."""
        name, *rest = args
        name = RENAMED.get(name, name)
        return name, command(name), rest


def command(name: str) -> Any:
    """The experiment as a command. Raises UserError for a name that there is none of."""
    app = typer.Typer(add_completion=False)
    app.command(name)(EXPERIMENTS.get(name))
    return typer.main.get_command(app)


app = typer.Typer(cls=Experiments, no_args_is_help=True, help="Experiments about early exits themselves (bench ls).")


@app.callback()
def group() -> None:
    """A group although its commands are not listed here."""
