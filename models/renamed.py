"""Keys of files that have another name today: the older one stays an alias."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from models.errors import UserError


def renamed(table: Mapping[str, Any], today: Callable[[str], str], *, where: str) -> dict[str, Any]:
    """A table under the keys of today.

    Args:
        table: values by key, old or new.
        today: the name that a key has today; its own for one that was not renamed.
        where: what an error points at.

    Raises:
        UserError: a key is given under two names.
    """
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = today(key)
        if name in found:
            raise UserError(f"{name} is given twice", where=where, fix="leave out its older name")
        found[name] = value
    return found
