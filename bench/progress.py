"""What is said while a run goes on.

A live bar on a terminal for everything that takes longer than two seconds, elsewhere one line when done, so that a log
stays readable; and nothing of what other libraries say on every start.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(stderr=True, highlight=False)


@contextmanager
def hushed() -> Iterator[None]:
    """Silence what other libraries say on every start and nobody can act on."""
    for chatty in ("torch.utils.cpp_extension", "torch.utils._pytree", "matplotlib", "matplotlib.font_manager"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated")
        warnings.filterwarnings("ignore", message=".*NumPy array is not writable")
        warnings.filterwarnings("ignore", message="Unwrapped parameters detected")
        yield


@contextmanager
def bar(label: str, total: int) -> Iterator[Callable[..., None]]:
    """Show progress while the context is open.

    Args:
        label: what is being done, at most 28 characters are shown.
        total: how many steps there are.

    Yields:
        advance(steps=1, note=""); the note (a loss, say) stands at the end of the line.
    """
    started, drawn, last = time.monotonic(), 0.0, ""
    columns = (
        TextColumn("{task.description:<28.28}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(
        *columns, console=console, transient=True, auto_refresh=False, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(label, total=total, note="")

        def advance(steps: int = 1, note: str = "") -> None:
            nonlocal last, drawn
            last = note or last
            progress.update(task, advance=steps, note=last)
            if time.monotonic() - drawn > 0.2:  # drawn from here: a thread of its own would disturb timings
                drawn = time.monotonic()
                progress.refresh()

        yield advance
    seconds = time.monotonic() - started
    if seconds >= 2:
        console.print(f"  {label:<28.28} {seconds:6.0f} s  {last}", markup=False)
