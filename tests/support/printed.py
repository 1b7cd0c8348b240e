"""Pages and parts of them as a terminal shows them."""

import io

from rich.console import Console

from bench.report.formats import terminal
from bench.report.page import Block, Page


def console(width: int = 100) -> Console:
    """A terminal without colours."""
    return Console(file=io.StringIO(), width=width, color_system=None)


def printed(what: Page | Block | None, width: int = 100) -> list[str]:
    """The lines of a page, or of one block."""
    assert what is not None
    return terminal(what if isinstance(what, Page) else Page([what]), console(width)).splitlines()
