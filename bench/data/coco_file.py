"""One COCO annotation file, checked.

What is missing, doubled, contradictory or out of range becomes one line with the file, the id and the repair, before
anything is measured on it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import UserError, suggest

OVERHANG = 1.0  # px; annotation tools round, and more than this is a mistake


@dataclass(frozen=True)
class ImageEntry:
    """An entry of `images`.

    Attributes:
        id: of the image.
        file_name: relative to the folder of images.
        width: in px.
        height: in px.
    """

    id: int
    file_name: str
    width: int
    height: int


@dataclass(frozen=True)
class Box:
    """An annotation that is kept.

    Attributes:
        xyxy: corners in px, inside the image.
        label: 1..C.
        crowd: whether it is a crowd region.
        area: in square px.
    """

    xyxy: tuple[float, float, float, float]
    label: int
    crowd: bool
    area: float


@dataclass(frozen=True)
class CocoFile:
    """A parsed annotation file; ids ascending everywhere.

    Attributes:
        path: of the file.
        categories: category name by id.
        images: image entry by id.
        annotations: as they stand in the file.
    """

    path: Path
    categories: Mapping[int, str]
    images: Mapping[int, ImageEntry]
    annotations: tuple[Mapping[str, Any], ...]

    def labels(self, classes: Sequence[str]) -> dict[int, int]:
        """Label by category id, for the classes to keep.

        Args:
            classes: category names.

        Returns:
            Labels 1..C, the position in `classes`.

        Raises:
            UserError: the file lacks a class.
        """
        ids = {name: key for key, name in self.categories.items()}
        for name in classes:
            if name not in ids:
                raise UserError(f"there is no category '{name}'", where=str(self.path), fix=suggest(name, ids))
        return {ids[name]: label for label, name in enumerate(classes, 1)}

    def boxes(self, classes: Sequence[str]) -> dict[int, list[Box]]:
        """The boxes of some classes by image id.

        Args:
            classes: category names.

        Returns:
            Boxes of every image of the file; [] where there are none.

        Raises:
            UserError: one of the boxes is malformed or out of range.
        """
        labels = self.labels(classes)
        found: dict[int, list[Box]] = {key: [] for key in self.images}
        for entry in self.annotations:
            if entry["category_id"] in labels:
                box = self._box(entry, labels[entry["category_id"]])
                found[entry["image_id"]] += [box] if box else []
        return found

    def _box(self, entry: Mapping[str, Any], label: int) -> Box | None:
        """The annotation as a box; None for a crowd without any area: it could excuse nothing."""
        image = self.images[entry["image_id"]]
        where = f"{self.path}, annotation {entry['id']} on image {image.id}"
        size = f"its {image.width} x {image.height} px image"
        crowd, area = entry.get("iscrowd", 0) == 1, entry.get("area")
        x, y, w, h = _bbox(entry, where)
        overhang = max(-x, -y, x + w - image.width, y + h - image.height)
        left, top, right, bottom = np.array(
            [max(x, 0), max(y, 0), min(x + w, image.width), min(y + h, image.height)], np.float32
        ).tolist()
        if right <= left or bottom <= top:
            if crowd and overhang <= OVERHANG:
                return None
            raise UserError(
                f"the box {entry['bbox']} has no area inside {size}",
                where=where,
                fix="remove it; bbox is [x, y, width, height] in pixels",
            )
        if overhang > OVERHANG:
            raise UserError(
                f"the box {entry['bbox']} leaves {size} by {overhang:.1f} px",
                where=where,
                fix=f"clip it (up to {OVERHANG:g} px is tolerated); bbox is [x, y, width, height] in px",
            )
        if area is None:
            area = (right - left) * (bottom - top)
        elif not _finite(area) or area < 0:
            raise UserError(f"the area is {area!r}", where=where, fix="give square pixels or omit it")
        return Box((left, top, right, bottom), label, crowd, float(area))


def read(path: Path) -> CocoFile:
    """Parse a COCO annotation file and check its structure.

    Args:
        path: of the file.

    Returns:
        The parsed file.

    Raises:
        UserError: the file is missing, broken or contradictory.
    """
    lists = _parse(path)
    categories = _by_id(path, "category", lists["categories"])
    images = _by_id(path, "image", lists["images"])
    annotations = _by_id(path, "annotation", lists["annotations"])
    names = {key: _need(entry, "name", str, f"{path}, category {key}") for key, entry in categories.items()}
    if len(set(names.values())) < len(names):
        raise UserError("two categories have the same name", where=str(path), fix="merge or rename them")
    for key, entry in annotations.items():
        where = f"{path}, annotation {key}"
        if _need(entry, "image_id", int, where) not in images:
            raise UserError(f"there is no image {entry['image_id']}", where=where, fix="add the image or remove this")
        if _need(entry, "category_id", int, where) not in names:
            raise UserError(
                f"there is no category {entry['category_id']}",
                where=where,
                fix=f"known: {', '.join(f'{k} {name}' for k, name in list(names.items())[:20])}",
            )
    checked = {key: _image(entry, f"{path}, image {key}") for key, entry in images.items()}
    return CocoFile(path, names, checked, tuple(annotations.values()))


def _parse(path: Path) -> dict[str, list[Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(
            f"broken JSON at line {error.lineno}, column {error.colno}: {error.msg}",
            where=str(path),
            fix="export it again",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot read it: {error}"
        raise UserError(reason, where=str(path), fix="give a COCO annotation file (JSON)") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise UserError(
                f"the list '{key}' is missing",
                where=str(path),
                fix="a COCO file is an object with the lists images, annotations and categories",
            )
    return content


def _by_id(path: Path, what: str, entries: list[Any]) -> dict[int, Mapping[str, Any]]:
    found: dict[int, Mapping[str, Any]] = {}
    for position, entry in enumerate(entries):
        key = _need(entry, "id", int, f"{path}, {what} number {position + 1}")
        if key in found:
            raise UserError(f"{what} id {key} appears twice", where=str(path), fix="give each its own id")
        found[key] = entry
    return dict(sorted(found.items()))


def _image(entry: Mapping[str, Any], where: str) -> ImageEntry:
    name = _need(entry, "file_name", str, where)
    sides = [_need(entry, key, int, where) for key in ("width", "height")]
    if min(sides) < 1:
        raise UserError(f"width x height is {sides[0]} x {sides[1]}", where=where, fix="give the size in pixels")
    return ImageEntry(entry["id"], name, *sides)


def _bbox(entry: Mapping[str, Any], where: str) -> tuple[float, float, float, float]:
    bbox = _need(entry, "bbox", list, where)
    if len(bbox) != 4 or not all(map(_finite, bbox)):
        raise UserError(f"bbox is {bbox}", where=where, fix="give four numbers: [x, y, width, height] in pixels")
    x, y, w, h = map(float, bbox)
    return x, y, w, h


def _need(entry: Any, key: str, kind: type[object], where: str) -> Any:
    if not isinstance(entry, dict) or key not in entry:
        raise UserError(f"'{key}' is missing", where=where, fix="add it; COCO requires it")
    value = entry[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        names = {int: "a whole number", str: "text", list: "a list"}
        raise UserError(f"'{key}' is {value!r}, not {names[kind]}", where=where, fix="correct it")
    return value


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
