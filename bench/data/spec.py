"""The door to all data: a short text such as `shapes`, `coco:DIR` or the path of a TOML file becomes a
Dataset."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.data.coco import coco, coco_folder
from bench.data.shapes import shapes
from bench.data.split import ROLES, Dataset
from models.errors import UserError, suggest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KINDS = {
    "shapes": "generated scenes of circles, squares, triangles and stars, every image of known difficulty",
    "coco:DIR": "a folder with images/ and instances_{train,val,test}.json in COCO format",
    "FILE.toml": "images, annotations per split, chosen classes: see docs/data.md",
}
SIZES = (1600, 400, 400)
PIXELS = 160
_KEYS = ("name", "images", "annotations", "classes", "cap")


def load(
    spec: str,
    *,
    classes: tuple[str, ...] | None = None,
    cap: int | None = None,
    seed: int = 0,
    sizes: tuple[int, int, int] | None = None,
    size: int | None = None,
) -> Dataset:
    """Open the dataset that `spec` names: `shapes`, `coco:DIR` or the path of a TOML file.

    classes and cap (see `coco`) are for data in COCO format and go before what a TOML file says. seed,
    sizes (images in train, val, test; 1600, 400, 400 unless given) and size (side in pixels; 160 unless
    given) are for `shapes`.
    Raises UserError for a spec that is not understood, an option of the other kind, and bad data.
    """
    kind, _, rest = spec.partition(":")
    if kind == "shapes" and not rest:
        _refuse(spec, "data in COCO format", classes=classes, cap=cap)
        return shapes(seed, *(sizes or SIZES), size=PIXELS if size is None else size)
    _refuse(spec, "shapes", sizes=sizes, size=size)
    if kind == "coco" and rest:
        return coco_folder(Path(rest).expanduser(), classes, cap)
    if spec.endswith(".toml"):
        return _from_toml(Path(spec).expanduser(), classes, cap)
    if Path(spec).is_dir():
        raise UserError("a folder needs its format", where=f"--data {spec}", fix=f"write coco:{spec}")
    raise UserError(
        "this data is not understood",
        where=f"--data {spec}",
        fix=suggest(kind, ("shapes", "coco")) + "; write coco:DIR for a folder, or the path of a .toml file",
    )


def _refuse(spec: str, owner: str, **options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise UserError(f"'{name}' is for {owner} only", where=f"--data {spec}", fix="leave it out")


def _from_toml(path: Path, classes: tuple[str, ...] | None, cap: int | None) -> Dataset:
    table = _table(path)
    here = path.parent
    images = _need(table, "images", (str, dict), path)
    if isinstance(images, dict):
        images = {role: here / place for role, place in _roles(images, "images", path).items()}
    else:
        images = here / images
    annotations = _roles(_need(table, "annotations", (dict,), path), "annotations", path)
    return coco(
        images,
        {role: here / place for role, place in annotations.items()},
        classes or _classes(table, path),
        _need(table, "cap", (int,), path) if cap is None and "cap" in table else cap,
        _need(table, "name", (str,), path) if "name" in table else path.stem,
    )


def _table(path: Path) -> Mapping[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError("there is no such file", where=str(path), fix="see docs/data.md for an example") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"cannot read it as TOML: {error}", where=str(path), fix="see docs/data.md") from error
    table = content.get("data")
    if not isinstance(table, dict):
        raise UserError("there is no table [data] in it", where=str(path), fix="see docs/data.md for an example")
    for key in table:
        if key not in _KEYS:
            raise UserError(f"'{key}' is not understood in [data]", where=str(path), fix=suggest(key, _KEYS))
    return table


def _classes(table: Mapping[str, Any], path: Path) -> list[str] | None:
    if "classes" not in table:
        return None
    classes = _need(table, "classes", (list,), path)
    if not all(isinstance(name, str) for name in classes):
        raise UserError(f"classes is {classes!r}", where=str(path), fix='give a list of names: classes = ["person"]')
    return classes


def _need(table: Mapping[str, Any], key: str, kinds: tuple[type, ...], path: Path) -> Any:
    words = {str: "text", dict: "a table with train, val and test", int: "a whole number", list: "a list"}
    wanted = " or ".join(words[kind] for kind in kinds)
    if key not in table:
        raise UserError(f"'{key}' is missing from [data]", where=str(path), fix=f"add it: {wanted}")
    if not isinstance(table[key], kinds) or isinstance(table[key], bool):
        raise UserError(f"'{key}' is {table[key]!r}, not {wanted}", where=str(path), fix="correct it")
    return table[key]


def _roles(table: Mapping[str, Any], key: str, path: Path) -> Mapping[str, str]:
    if set(table) != set(ROLES) or not all(isinstance(place, str) for place in table.values()):
        raise UserError(
            f"'{key}' has {', '.join(table) or 'nothing'}",
            where=str(path),
            fix='give one path for each of train, val and test: { train = "...", val = "...", test = "..." }',
        )
    return table
