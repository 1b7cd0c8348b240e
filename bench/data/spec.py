"""The door to all data: a text such as `shapes`, a folder, `yolo:DIR` or the path of a TOML file becomes a Dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.options import Options
from bench.data.registry import READERS
from models.errors import UserError, suggest

if TYPE_CHECKING:
    from bench.data.found import Found
    from bench.data.split import Dataset


def load(
    spec: str,
    *,
    classes: tuple[str, ...] | None = None,
    max_images_per_class: int | None = None,
    split: str | None = None,
    split_by: str | None = None,
    split_seed: int | None = None,
    seed: int = 0,
    sizes: tuple[int, int, int] | None = None,
    size: int | None = None,
) -> Dataset:
    """Open the dataset that `spec` names. Every image of it is opened and checked.

    Args:
        spec: `shapes`, a folder whose layout is recognised, the path of a TOML file, or NAME:PLACE for a named reader.
        classes: names to keep; they go before what a TOML file says.
        max_images_per_class: at most so many training images per class; it goes before what a TOML file says.
        split: shares to deal the images anew by, such as "80/10/10" (`bench.data.deal.dealt`).
        split_by: what is never divided: "image", "folder", or a regular expression on image names.
        split_seed: of the dealing.
        seed: of `shapes`.
        sizes: images of `shapes` in train, val and test; 1600, 400, 400 unless given.
        size: side of `shapes` in pixels; 160 unless given.

    Raises:
        UserError: for a spec that is not understood, an option that the data does not have, and bad data: all of its
            faults at once (`bench.data.faults.DataFaults`).
    """
    from bench.data.dataset import dataset, settled
    from bench.data.found import Found

    options = Options(classes, max_images_per_class, split, split_by, split_seed, seed, sizes, size)
    found = find(spec, options)
    if not isinstance(found, Found):
        return found
    options = found.options or options
    return dataset(settled(found, options), options.max_images_per_class)


def find(spec: str, options: Options) -> Found | Dataset:
    """Read what `spec` names; no image is decoded.

    Args:
        spec: as of `load`.
        options: as of `load`.

    Raises:
        UserError: as `load`, but for faults of single images.
    """
    name, place = reader_of(spec)
    return READERS.get(name).read(place, options)


def reader_of(spec: str) -> tuple[str, str]:
    """Find who reads a spec.

    Args:
        spec: as of `load`.

    Returns:
        The reader's name, and the place that it is to read.

    Raises:
        UserError: nobody does, or several might.
    """
    name, _, place = spec.partition(":")
    if name in READERS:
        return name, place
    if spec.endswith(".toml"):
        return "toml", spec
    if Path(spec).expanduser().is_dir():
        return recognised(Path(spec).expanduser()), spec
    fix = suggest(name, READERS) + "; give a folder, or the path of a .toml file"
    raise UserError("this data is not understood", where=f"--data {spec}", fix=fix)


def recognised(folder: Path) -> str:
    """Find whose layout a folder has.

    Args:
        folder: of a dataset.

    Returns:
        The name of its reader.

    Raises:
        UserError: nobody recognises it, with what is in it, or several do.
    """
    seen: dict[str, str] = {}
    for name in READERS:
        sees = READERS.get(name).sees
        if sees and (what := sees(folder)):
            seen[name] = what
    if len(seen) == 1:
        return next(iter(seen))
    if seen:
        what = "several layouts are in this folder: " + "; ".join(seen.values())
        fix = "say which one is meant: " + " or ".join(f"--data {name}:{folder}" for name in seen)
        raise UserError(what, where=f"--data {folder}", fix=fix)
    inside = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir() if not path.name.startswith("."))
    shown = ", ".join(inside[:8]) + (f", ... ({len(inside)} in all)" if len(inside) > 8 else "")
    raise UserError(
        f"no layout is recognised in this folder; it holds {shown or 'nothing'}",
        where=f"--data {folder}",
        fix="docs/data.md lists what is read; coco:DIR, yolo:DIR, voc:DIR or mot:DIR says what is missing",
    )
