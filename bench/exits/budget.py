"""A budget as people write it: "3ms" or "250MFLOPs" for an image on average."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.exits.path_costs import Unit
from models.errors import UserError

UNITS: dict[str, tuple[Unit, float]] = {"ms": ("latency", 1.0), "mflops": ("flops", 1e6), "gflops": ("flops", 1e9)}


@dataclass(frozen=True)
class Budget:
    """The most that an image may cost on average.

    Attributes:
        text: the budget as it was written, without spaces.
        unit: "latency" or "flops".
        most: mean cost of an image, in ms or in multiply-adds, above 0.
    """

    text: str
    unit: Unit
    most: float


def parse(text: str) -> Budget:
    """Read a budget such as "3ms".

    Args:
        text: a positive number followed by one of UNITS, in any case.

    Returns:
        The budget.

    Raises:
        UserError: the text is not such a number.
    """
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([a-z]+)", text.strip(), re.IGNORECASE)
    if not found or found[2].lower() not in UNITS or not float(found[1]):
        raise UserError(f"{text!r} is no budget", where="budget", fix="write 3ms, 250MFLOPs or 1.5GFLOPs")
    unit, scale = UNITS[found[2].lower()]
    return Budget("".join(text.split()), unit, float(found[1]) * scale)
