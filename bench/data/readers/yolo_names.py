"""What a folder of YOLO labels says of itself: class names, points of a pose, and where the splits are.

In `data.yaml` or another YAML file (Ultralytics, Roboflow, CVAT), in `obj.names` and `obj.data` (darknet, CVAT), or in
`classes.txt` (LabelImg, Label Studio) and `_darknet.labels` (Roboflow).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bench.data.readers.reading import entries, lines, split_folders
from bench.data.split import Role
from bench.files import read_text
from models.errors import UserError

USUAL = ("data.yaml", "data.yml")
LISTED = ("obj.names", "classes.txt", "_darknet.labels")
KEYS: Mapping[str, Role] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
LIKE_PATHS = re.compile(r"^(path|train|val)[ \t]*:", re.MULTILINE)
LIKE_NAMES = re.compile(r"^[ \t{]*[\"']?names[\"']?[ \t]*:", re.MULTILINE)


@dataclass(frozen=True)
class Described:
    """What a folder says of itself.

    Attributes:
        file: that says it.
        names: of the classes, by number.
        points: numbers of each pose behind its box; 0: there are no poses.
        root: that paths start at, as written.
        paths: of each split, as written.
    """

    file: Path
    names: tuple[str, ...]
    points: int = 0
    root: str = ""
    paths: Mapping[Role, Sequence[str]] = field(default_factory=dict)


def described(source: Path) -> Described:
    """Read what a folder says of itself.

    Args:
        source: the dataset's folder.

    Raises:
        UserError: there are no class names, or what says them is malformed.
    """
    if path := yaml_file(source):
        return _of_yaml(path)
    path = names_file(source)
    if path is None:
        raise UserError("the class names are missing", where=str(source), fix="add data.yaml with names: [...]")
    names = _checked([text for _, text in lines(path)], path)
    return Described(path, names, paths=_of_darknet(source / "obj.data"))


def yaml_file(source: Path) -> Path | None:
    """The YAML file that describes a folder: data.yaml, or another one in it that has `names`; None: there is none.

    Raises:
        UserError: several may be meant.
    """
    for name in USUAL:
        if (source / name).is_file():
            return source / name
    found = [path for path in _yamls(source) if _has(LIKE_NAMES, path)]
    if len(found) > 1:
        what = f"several files may describe it: {', '.join(path.name for path in found[:4])}"
        raise UserError(what, where=str(source), fix="call the right one data.yaml")
    return found[0] if found else None


def yaml_of_labels(source: Path) -> Path | None:
    """A YAML file that is surely about images and labels: data.yaml with names, or another one with names and paths."""
    named = [path for path in _yamls(source) if _has(LIKE_NAMES, path)]
    return next((path for path in named if path.name in USUAL or _has(LIKE_PATHS, path)), None)


def names_file(source: Path) -> Path | None:
    """The file that lists class names: in the folder, with labels or images, or alike in the folder of each split.

    Raises:
        UserError: those of the splits differ.
    """
    for place in (source, source / "labels", source / "images"):
        for name in LISTED:
            if (place / name).is_file():
                return place / name
    below = [folder for base in (source, source / "labels") for part in split_folders(base).values() for folder in part]
    places = [place for folder in below for place in (folder, folder / "labels", folder / "images")]
    found = [place / name for place in places for name in LISTED if (place / name).is_file()]
    for path in found[1:]:
        if read_text(path).split() != read_text(found[0]).split():
            fix = "list all class names once, in data.yaml"
            raise UserError(f"the class names are not those of {found[0]}", where=str(path), fix=fix)
    return found[0] if found else None


def _yamls(source: Path) -> list[Path]:
    return [source / name for name in entries(source, "give a folder") if name.lower().endswith((".yaml", ".yml"))]


def _has(key: re.Pattern[str], path: Path) -> bool:
    """Whether a YAML file seems to have a key; it need not be well formed."""
    try:
        return path.is_file() and bool(key.search(read_text(path)))
    except UserError:
        return False


def _of_yaml(path: Path) -> Described:
    try:
        content = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"cannot read it as YAML: {reason}", where=str(path), fix="correct it") from error
    content = content if isinstance(content, Mapping) else {}
    paths: dict[Role, list[str]] = {}
    for key, role in KEYS.items():
        paths.setdefault(role, []).extend(_texts(content.get(key), key, path))
    root = _texts(content.get("path"), "path", path)
    kept = {role: written for role, written in paths.items() if written}
    names = _checked(_names(content, path), path)
    return Described(path, names, _points(content.get("kpt_shape"), path), root[0] if root else "", kept)


def _texts(value: Any, key: str, path: Path) -> list[str]:
    """A path or a list of paths; none where there is nothing."""
    found = [] if value in (None, "") else value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) and "\0" not in one for one in found):
        raise UserError(f"{key} is {value!r}, no path", where=str(path), fix=f"write {key}: images/{key}")
    return found


def _names(content: Mapping[Any, Any], path: Path) -> Sequence[object]:
    names = content.get("names")
    if isinstance(names, Mapping):
        if set(names) != set(range(len(names))):
            raise UserError(f"names has the keys {list(names)}", where=str(path), fix="number the classes 0, 1, 2, ...")
        names = [names[key] for key in range(len(names))]
    if isinstance(names, list):
        names = [str(name) if isinstance(name, int) and not isinstance(name, bool) else name for name in names]
    if not isinstance(names, list):
        raise UserError("there is no list 'names' in it", where=str(path), fix="add names: [person, chair]")
    if content.get("nc", len(names)) != len(names):
        raise UserError(f"nc is {content['nc']}, there are {len(names)} names", where=str(path), fix="correct one")
    return names


def _checked(names: Sequence[object], path: Path) -> tuple[str, ...]:
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise UserError(f"the class name {name!r} is not text", where=str(path), fix="put it in quotes")
    if not names or len(set(names)) < len(names):
        raise UserError(f"the class names are {list(names)}", where=str(path), fix="name at least one, each once")
    return tuple(map(str, names))


def _points(shape: Any, path: Path) -> int:
    """How many numbers of a pose follow its box."""
    if shape is None:
        return 0
    whole = isinstance(shape, list) and len(shape) == 2 and all(type(side) is int for side in shape)
    if not whole or shape[0] < 1 or shape[1] not in (2, 3):
        fix = "write the number of points, and 2 or 3 numbers each: kpt_shape: [17, 3]"
        raise UserError(f"kpt_shape is {shape!r}", where=str(path), fix=fix)
    points: int = shape[0] * shape[1]
    return points


def _of_darknet(path: Path) -> dict[Role, list[str]]:
    """The lists of images that obj.data names."""
    if not path.is_file():
        return {}
    pairs = [text.partition("=") for _, text in lines(path)]
    return {KEYS[key.strip()]: [value.strip()] for key, _, value in pairs if key.strip() in KEYS and value.strip()}
