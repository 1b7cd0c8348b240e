"""The door to all data: a text such as `shapes`, `coco:DIR` or the path of a TOML file becomes a Dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.registry import READERS, Options
from models.errors import UserError, suggest

if TYPE_CHECKING:
    from bench.data.split import Dataset


def load(
    spec: str,
    *,
    classes: tuple[str, ...] | None = None,
    max_images_per_class: int | None = None,
    seed: int = 0,
    sizes: tuple[int, int, int] | None = None,
    size: int | None = None,
) -> Dataset:
    """Open the dataset that `spec` names.

    Args:
        spec: `shapes`, `coco:DIR`, the path of a TOML file, or NAME:REST for another reader.
        classes: names to keep; they go before what a TOML file says.
        max_images_per_class: at most so many training images per class; it goes before what a TOML file says.
        seed: of `shapes`.
        sizes: images of `shapes` in train, val and test; 1600, 400, 400 unless given.
        size: side of `shapes` in pixels; 160 unless given.

    Raises:
        UserError: for a spec that is not understood, an option that the data does not have, and bad data.
    """
    name, _, place = spec.partition(":")
    if name not in READERS and spec.endswith(".toml"):
        name, place = "toml", spec
    if name not in READERS:
        raise _not_understood(spec, name)
    return READERS.get(name)(place, Options(classes, max_images_per_class, seed, sizes, size))


def _not_understood(spec: str, name: str) -> UserError:
    if Path(spec).is_dir():
        return UserError("a folder needs its format", where=f"--data {spec}", fix=f"write coco:{spec}")
    fix = suggest(name, READERS) + "; write coco:DIR for a folder, or the path of a .toml file"
    return UserError("this data is not understood", where=f"--data {spec}", fix=fix)
