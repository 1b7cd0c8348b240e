"""Results of ablations as JSON files: written whole or not at all, and read back as what they were."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from bench.files import read_text, replacing
from models.errors import UserError

Result = TypeVar("Result", bound=BaseModel)


def save(found: BaseModel, path: Path) -> None:
    """Write a result.

    Args:
        found: the result.
        path: the JSON file, written whole or not at all.
    """
    with replacing(path) as partial:
        partial.write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")


def load(kind: type[Result], path: Path) -> Result:
    """Read a result.

    Args:
        kind: the class of the result.
        path: the JSON file.

    Returns:
        The result, of class `kind`.

    Raises:
        UserError: the file is missing or breaks the schema.
    """
    try:
        return kind.model_validate_json(read_text(path))
    except (UserError, ValidationError) as error:
        raise UserError("no readable result", where=str(path), fix="repeat the ablation") from error
