"""A TOML file that describes data in COCO format: where images and annotations are, which classes, how many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.data.found import Found
from bench.data.options import Options
from bench.data.readers.coco import coco
from bench.data.registry import Reader
from bench.data.split import ROLES, Role
from bench.files import read_toml
from models.errors import UserError, suggest
from models.renamed import renamed

RENAMED = {"cap": "max_images_per_class"}  # keys by the names they had
PATHS = '{ train = "...", val = "...", test = "..." }'


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Paths(_Strict):
    train: str
    val: str
    test: str

    def under(self, folder: Path) -> dict[Role | None, Path]:
        return {"train": folder / self.train, "val": folder / self.val, "test": folder / self.test}


class _Table(_Strict):
    """What [data] may hold. Descriptions are what a message says is wanted."""

    name: str | None = Field(None, description="text")
    images: str | _Paths = Field(description=f"text or a table with train, val and test: {PATHS}")
    annotations: _Paths = Field(description=f"one path for each of train, val and test: {PATHS}")
    classes: list[str] | None = Field(None, description='a list of names: ["person"]')
    max_images_per_class: int | None = Field(None, description="a whole number")


def read(place: str, options: Options) -> Found:
    """`FILE.toml` (a `bench.data.registry.Reader`); paths in it start at its folder.

    Args:
        place: path of the file.
        options: what goes before what the file says.

    Raises:
        UserError: there is no such file, it is not understood, or its data is bad.
    """
    options.refuse("sizes", "size", owner="shapes", where=f"--data {place}")
    path = Path(place).expanduser()
    table, here = _table(path), path.parent
    own = table.max_images_per_class if options.max_images_per_class is None else options.max_images_per_class
    options = replace(
        options,
        classes=options.classes or (tuple(table.classes) if table.classes is not None else None),
        max_images_per_class=own,
    )
    images = table.images if isinstance(table.images, _Paths) else _Paths(**dict.fromkeys(ROLES, table.images))
    folders = {role: [folder] for role, folder in images.under(here).items()}
    found = coco(folders, table.annotations.under(here), options, table.name or path.stem)
    return replace(found, options=options)


def _table(path: Path) -> _Table:
    given = _given(path)
    try:
        return _Table.model_validate(given)
    except ValidationError as error:
        # What is misspelt or wrong is said before what is missing.
        first = min(error.errors(), key=lambda one: one["loc"][0] not in given)
        raise _said(first, given, path) from error


def _given(path: Path) -> Mapping[str, Any]:
    content = read_toml(path, fix="see docs/data.md for an example")
    if not isinstance(table := content.get("data"), dict):
        raise UserError("there is no table [data] in it", where=str(path), fix="see docs/data.md for an example")
    return renamed(table, lambda key: RENAMED.get(key, key), where=f"{path}: [data]")


def _said(error: Mapping[str, Any], given: Mapping[str, Any], path: Path) -> UserError:
    """What pydantic found, as one line about the key of [data] that it is in."""
    key = str(error["loc"][0])
    if key not in _Table.model_fields:
        return UserError(f"'{key}' is not understood in [data]", where=str(path), fix=suggest(key, _Table.model_fields))
    wanted = _Table.model_fields[key].description
    if key not in given:
        return UserError(f"'{key}' is missing from [data]", where=str(path), fix=f"add it: {wanted}")
    return UserError(f"'{key}' is {given[key]!r}, not {wanted}", where=str(path), fix="correct it")


READER = Reader(read)
