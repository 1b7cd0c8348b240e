"""Reader of YOLO text labels.

`images/{train,val,test}/NAME.jpg` beside `labels/{train,val,test}/NAME.txt`, a line per object, and the class names in
`data.yaml` or `classes.txt`.

A line is `class cx cy w h`, the box's centre and sides as shares of the image's sides, or `class x1 y1 x2 y2 x3 y3
...`, a polygon that becomes its bounding box. An image without a label file has no objects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from bench.data.convert.converted import Box, Converted, Labelled, inside
from bench.data.convert.reading import SUFFIXES, dealt, finite, image_size, lines, orientation, whole
from bench.data.split import ROLES, Role
from bench.progress import bar
from models.errors import UserError

FAR = 2.0  # shares beyond this are no rounding and no box over the edge


def read_yolo(source: Path, *, parts: tuple[float, float, float] | None = None) -> Converted:
    """Read a dataset with YOLO labels.

    Args:
        source: holds images/, labels/ and the class names.
        parts: shares of train, val and test, dealt by the hash of the image's path below images/; None takes the splits
            that are there.

    Returns:
        Images and boxes by split.

    Raises:
        UserError: something is missing or malformed.
    """
    classes = class_names(source)
    if not (source / "labels").is_dir():
        raise UserError("there is no folder labels in it", where=str(source), fix="put a .txt per image there")
    files = dealt(_files(source / "images"), parts) if parts else {role: _split(source, role) for role in ROLES}
    _check_labels(source, {name for names in files.values() for name in names}, ROLES if parts is None else ("",))
    splits: dict[Role, list[Labelled]] = {role: [] for role in ROLES}
    notes: Counter[str] = Counter()
    with bar("reading YOLO labels", sum(map(len, files.values()))) as advance:
        for role in ROLES:
            for name in files[role]:
                splits[role].append(_labelled(source, name, classes, notes))
                advance()
    return Converted(classes, splits, notes)


def class_names(source: Path) -> tuple[str, ...]:
    """Class names by number.

    Read from data.yaml (`names` as a list, or as a table from 0 on), or else from classes.txt (one per line).

    Args:
        source: the dataset's folder.

    Returns:
        The names.

    Raises:
        UserError: there are none, or they are malformed.
    """
    for path in (source / "data.yaml", source / "data.yml"):
        if path.is_file():
            return _checked(_yaml_names(path), path)
    path = source / "classes.txt"
    if path.is_file():
        return _checked([text for _, text in lines(path)], path)
    raise UserError("the class names are missing", where=str(source), fix="add data.yaml with names: [...]")


def _yaml_names(path: Path) -> Sequence[object]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"cannot read it as YAML: {reason}", where=str(path), fix="correct it") from error
    names = content.get("names") if isinstance(content, Mapping) else None
    if isinstance(names, Mapping):
        if set(names) != set(range(len(names))):
            raise UserError(f"names has the keys {list(names)}", where=str(path), fix="number the classes 0, 1, 2, ...")
        names = [names[key] for key in range(len(names))]
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


def _split(source: Path, role: Role) -> list[str]:
    for kind in ("images", "labels"):
        if not (source / kind / role).is_dir():
            raise UserError(
                f"there is no folder {kind}/{role} in it",
                where=str(source),
                fix="add it, or deal all images anew with --split 0.8,0.1,0.1",
            )
    return [f"{role}/{name}" for name in _files(source / "images" / role)]


def _files(folder: Path) -> list[str]:
    """Paths of all images below `folder`, relative to it."""
    if not folder.is_dir():
        raise UserError("there is no such folder", where=str(folder), fix="the images belong there")
    found = (path for path in folder.rglob("[!.]*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _check_labels(source: Path, images: set[str], folders: Sequence[str]) -> None:
    """Raises UserError for a label file whose image is missing."""
    known = {Path(name).with_suffix(".txt") for name in images}
    for folder in folders:
        for path in sorted((source / "labels" / folder).rglob("[!.]*.txt")):
            if path.name != "classes.txt" and path.relative_to(source / "labels") not in known:
                raise UserError("the image of these labels is missing", where=str(path), fix="add it or remove them")


def _labelled(source: Path, name: str, classes: Sequence[str], notes: Counter[str]) -> Labelled:
    path, labels = source / "images" / name, (source / "labels" / name).with_suffix(".txt")
    width, height = image_size(path)
    if orientation(path) != 1:
        raise UserError(
            "EXIF says that this image is to be turned, and its labels may be for it turned or not",
            where=str(path),
            fix="store it upright and without that entry",
        )
    if not labels.is_file():
        notes["images without a label file: taken as without objects"] += 1
        return Labelled(path, name, width, height, ())
    boxes = []
    for where, text in lines(labels):
        kind, (x1, y1, x2, y2) = parse(text, where)
        if not 0 <= kind < len(classes):
            raise UserError(f"class {kind} is unknown", where=where, fix=f"there are names for 0 to {len(classes) - 1}")
        bbox = inside((x1 * width, y1 * height, x2 * width, y2 * height), width, height, notes)
        if bbox:
            boxes.append(Box(classes[kind], bbox))
    return Labelled(path, name, width, height, tuple(boxes))


def parse(text: str, where: str) -> tuple[int, tuple[float, float, float, float]]:
    """One line of labels.

    Args:
        text: the line.
        where: it stands, for the error message.

    Returns:
        Class number, and x1, y1, x2, y2 as shares of the image's sides.

    Raises:
        UserError: the line is malformed.
    """
    parts = text.split()
    if len(parts) != 5 and (len(parts) < 7 or len(parts) % 2 == 0):
        raise UserError(
            f"{len(parts)} columns",
            where=where,
            fix="write class cx cy w h, or class and x y of three corners or more",
        )
    kind, *values = finite(parts, where)
    if max(map(abs, values)) > FAR:
        raise UserError(
            f"{max(values, key=abs):g} is no share of an image", where=where, fix="divide pixels by the side"
        )
    if len(values) > 4:
        corners = min(values[0::2]), min(values[1::2]), max(values[0::2]), max(values[1::2])
    else:
        x, y, w, h = values
        if min(w, h) < 0:
            raise UserError("a side is negative", where=where, fix="write class cx cy w h")
        corners = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    return whole(kind, "class", where), corners
