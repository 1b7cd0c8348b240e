"""One COCO annotation file, checked.

What is missing, doubled, contradictory or out of range becomes one line with the file, the id and the repair. Columns
are checked as arrays, so that a million boxes take seconds; only rows that fail are looked at one by one.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from operator import lt
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.data.faults import Faults
from bench.files import read_text
from models.errors import UserError

OVERHANG = 1.0  # px; annotation tools round, and more than this is a mistake
THIN = 4  # how many times a mask may be smaller than the row of pixels along its box: no photograph's is
IN_FAULT, UNKNOWN = -2, -1  # where an image is looked up
CROWD = {"0": 0, "1": 1, "false": 0, "true": 1, "": 0}
Missing: Any = msgspec.UNSET
Key = int | str


class _Category(msgspec.Struct):
    id: Any = Missing
    name: Any = Missing


class _Image(msgspec.Struct):
    id: Any = Missing
    file_name: Any = Missing
    width: Any = Missing
    height: Any = Missing


class _Annotation(msgspec.Struct, gc=False):
    id: Any = Missing
    image_id: Any = Missing
    category_id: Any = Missing
    bbox: Any = Missing
    area: Any = Missing
    iscrowd: Any = 0


class _File(msgspec.Struct):
    images: list[_Image] = Missing
    annotations: list[_Annotation] = Missing
    categories: list[_Category] = Missing


@dataclass(frozen=True)
class ImageEntry:
    """An entry of `images`.

    Attributes:
        id: of the image.
        file_name: relative to the folder of images.
        width: in px.
        height: in px.
    """

    id: Key
    file_name: str
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of a file, by image.

    Attributes:
        image: int64 [n], into the images in the order of their ids.
        name: int64 [n], into the names that were asked for.
        corners: float64 [n, 4], x1, y1, x2, y2 in px, inside the image.
        crowd: bool [n].
        area: float64 [n] in square px.
    """

    image: NDArray[np.int64]
    name: NDArray[np.int64]
    corners: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    area: NDArray[np.float64]


class CocoFile:
    """A parsed annotation file.

    Args:
        path: of the file.
        faults: takes what is wrong.
        notes: counts what is changed.

    Attributes:
        categories: name by category id, ids ascending; of categories of one name only those that are used.
        images: image entries, ids ascending.

    Raises:
        UserError: the file is missing, broken, or not of this format at all.
    """

    def __init__(self, path: Path, faults: Faults, notes: Counter[str]):
        self.path, self._faults, self._notes = path, faults, notes
        content = _parse(path)
        if not content.images:
            faults.add("there are no images in it", where=str(path), fix="every split needs at least one")
        images = self._by_id("image", content.images)
        self.images = [entry for key, row in images.items() if (entry := self._image(key, row))]
        self._at: dict[Key, int] = {**dict.fromkeys(images, IN_FAULT), **{e.id: i for i, e in enumerate(self.images)}}
        self._rows = list(self._by_id("annotation", content.annotations).values())
        before = len(faults.found)
        categories = self._by_id("category", content.categories)
        self.categories = self._names(categories, blame=len(faults.found) == before)

    def boxes(self, names: Sequence[str]) -> Boxes:
        """The boxes of some categories; what is wrong with them goes into the faults.

        Args:
            names: of categories; those that the file lacks have no box in it.
        """
        order = {name: i for i, name in enumerate(names)}
        wanted = {key: order[name] for key, name in self.categories.items() if name in order}
        name = np.array([wanted.get(key, -1) for key in self._category_ids], np.int64)
        rows, name = _kept(self._rows, name >= 0, name)
        image = self._column(rows, "image_id", self._at, "image")
        rows, name, image = _kept(rows, image >= 0, name, image)
        box = self._numbers(rows)
        crowd = self._crowds(rows)
        sides = np.array([(entry.width, entry.height) for entry in self.images], np.float64).reshape(-1, 2)[image]
        corners = np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1)
        clipped = np.clip(corners, 0, np.tile(sides, 2))
        seen = clipped.astype(np.float32)  # as they will be kept: what has no area then has none
        flat = ~((seen[:, 2] > seen[:, 0]) & (seen[:, 3] > seen[:, 1]))
        overhang = np.maximum(np.maximum(-corners[:, :2], corners[:, 2:] - sides).max(1, initial=-np.inf), 0)
        idle = flat & crowd & (overhang <= OVERHANG)
        bad = np.isnan(box).any(1)
        for i in np.flatnonzero((flat & ~idle | (overhang > OVERHANG)) & ~bad):
            self._misplaced(rows[i], self.images[image[i]], bool(flat[i]), float(overhang[i]))
        self._notes["boxes clipped to the image, by 1 px at most"] += int(((overhang > 0) & ~flat).sum())
        self._notes["crowds left out (no area inside the image)"] += int(idle.sum())
        area = self._areas(rows, clipped)
        keep = ~flat & ~bad
        return Boxes(image[keep], name[keep], clipped[keep], crowd[keep], area[keep])

    def _by_id(self, what: str, entries: Sequence[Any]) -> dict[Key, Any]:
        """Entries by id, ascending; ids as numbers first. A missing or doubled id is a fault."""
        ids = [entry.id for entry in entries]
        if set(map(type, ids)) != {int}:
            ids = [
                self._key(entry, "id", f"{self.path}, {what} number {number}")
                for number, entry in enumerate(entries, 1)
            ]
        found = dict(zip(ids, entries, strict=True))
        if len(found) < len(entries):
            for key, times in Counter(key for key in ids if key is not None).items():
                if times > 1:
                    self._faults.add(f"{what} id {key} appears twice", where=str(self.path), fix="give each its own id")
        found.pop(None, None)
        if set(map(type, found)) <= {int} and all(map(lt, found, islice(found, 1, None))):
            return found  # as most files have them
        return dict(sorted(found.items(), key=lambda pair: (isinstance(pair[0], str), pair[0])))

    def _key(self, entry: Any, name: str, where: str) -> Key | None:
        """An id: a whole number of any size, also as text or with a fraction of 0; other text as it is."""
        value = getattr(entry, name)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, str) and value.strip():
            text = value.strip()
            return int(text) if text.isdecimal() and len(text) < 100 else text
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self._wrong(name, value, "a whole number or text", where)
        return None

    def _wrong(self, name: str, value: Any, wanted: str, where: str) -> None:
        if value is Missing:
            self._faults.add(f"'{name}' is missing", where=where, fix="add it; COCO requires it")
        else:
            self._faults.add(f"'{name}' is {_short(value)}, not {wanted}", where=where, fix="correct it")

    def _image(self, key: Key, entry: _Image) -> ImageEntry | None:
        where = f"{self.path}, image {key}"
        name, sides = entry.file_name, (entry.width, entry.height)
        if not isinstance(name, str) or not name:
            self._wrong("file_name", name, "text", where)
            return None
        for side, value in zip(("width", "height"), sides, strict=True):
            whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            if not whole or isinstance(value, bool):
                self._wrong(side, value, "a whole number", where)
                return None
        if min(sides) < 1:
            what = f"width x height is {sides[0]} x {sides[1]}"
            self._faults.add(what, where=where, fix="give the size in pixels")
            return None
        return ImageEntry(key, name, int(sides[0]), int(sides[1]))

    def _names(self, categories: Mapping[Key, _Category], blame: bool) -> dict[Key, str]:
        """Name by id. Of two that share a name one may be unused, as the root that Roboflow writes.

        Args:
            categories: by id.
            blame: whether annotations are to blame for ids that are not among them.
        """
        known = {}
        for key, entry in categories.items():
            if isinstance(entry.name, str) and entry.name:
                known[key] = entry.name
            else:
                self._wrong("name", entry.name, "text", f"{self.path}, category {key}")
        self._category_ids: list[Any] = self._checked_categories(known, blame)
        used = set(self._category_ids)
        for name in [name for name, times in Counter(known.values()).items() if times > 1]:
            same = [key for key, other in known.items() if other == name]
            idle = [key for key in same if key not in used]
            if len(same) - len(idle) > 1:
                what = f"two categories have the same name '{name}'"
                self._faults.add(what, where=str(self.path), fix="merge or rename them")
            for key in idle[: len(same) - 1] if len(idle) == len(same) else idle:
                del known[key]
                self._notes[
                    f"categories left out, as no annotation uses them and another one is called '{name}' too"
                ] += 1
        return known

    def _checked_categories(self, known: Mapping[Key, str], blame: bool) -> list[Any]:
        """Category id of each annotation; one that is not known is a fault."""
        ids = [row.category_id for row in self._rows]
        if not set(map(type, ids)) <= {int}:
            where = f"{self.path}, annotation "
            ids = [self._key(row, "category_id", f"{where}{row.id}") for row in self._rows]
        if blame and (unknown := set(ids) - set(known) - {None}):
            fix = f"known: {', '.join(f'{key} {name}' for key, name in list(known.items())[:20])}"
            for row, key in zip(self._rows, ids, strict=True):
                if key in unknown:
                    where = f"{self.path}, annotation {row.id}"
                    self._faults.add(f"there is no category {key}", where=where, fix=fix)
        return ids

    def _column(self, rows: Sequence[_Annotation], name: str, at: Mapping[Key, int], what: str) -> NDArray[np.int64]:
        """Where each row's id is found; below 0 where it is not, which is a fault unless one is known already."""
        ids = [getattr(row, name) for row in rows]
        if not set(map(type, ids)) <= {int}:
            ids = [self._key(row, name, f"{self.path}, annotation {row.id}") for row in rows]
        found = np.array([at.get(key, UNKNOWN) for key in ids], np.int64)
        for i in np.flatnonzero(found == UNKNOWN).tolist():
            if ids[i] is not None:
                where = f"{self.path}, annotation {rows[i].id}"
                self._faults.add(f"there is no {what} {ids[i]}", where=where, fix=f"add the {what} or remove this")
        return found

    def _numbers(self, rows: Sequence[_Annotation]) -> NDArray[np.float64]:
        """Numbers of each bbox, float64 [n, 4]; NaN, and a fault, where it is malformed."""
        boxes = [row.bbox for row in rows]
        if all(type(box) is list and len(box) == 4 for box in boxes) and set(map(type, chain.from_iterable(boxes))) <= {
            int,
            float,
        }:
            found = np.array(boxes, np.float64).reshape(-1, 4)
            if np.isfinite(found).all():
                return found
        found = np.full((len(rows), 4), np.nan)
        for i, box in enumerate(boxes):
            where = f"{self._where(rows[i])}"
            if box is Missing:
                self._wrong("bbox", box, "", where)
            elif not isinstance(box, list) or len(box) != 4 or not all(map(_finite, box)):
                what = f"bbox is {_short(box)}"
                self._faults.add(what, where=where, fix="give four numbers: [x, y, width, height] in pixels")
            else:
                found[i] = box
        return found

    def _where(self, row: _Annotation) -> str:
        return f"{self.path}, annotation {row.id} on image {row.image_id}"

    def _crowds(self, rows: Sequence[_Annotation]) -> NDArray[np.bool_]:
        values = [row.iscrowd for row in rows]
        if set(map(type, values)) <= {int} and set(values) <= {0, 1}:
            return np.array(values, bool)
        found = np.zeros(len(rows), bool)
        for i, value in enumerate(values):
            if isinstance(value, str) and value.strip().lower() in CROWD:
                found[i] = CROWD[value.strip().lower()]
                self._notes["iscrowd given as text, read as a number"] += 1
            elif value is None or (isinstance(value, int | float) and value in (0, 1)):
                found[i] = bool(value)
            else:
                self._wrong("iscrowd", value, "0 or 1", self._where(rows[i]))
        return found

    def _areas(self, rows: Sequence[_Annotation], corners: NDArray[np.float64]) -> NDArray[np.float64]:
        """Area of each row; of its box where none is given, or one that cannot be an object's in this box."""
        values = [row.area for row in rows]
        sides = corners[:, 2:] - corners[:, :2]
        box = sides.prod(1)
        if set(map(type, values)) <= {int, float}:
            area = np.array(values, np.float64)
        else:
            area = np.full(len(rows), np.nan)
            for i, value in enumerate(values):
                if _finite(value):
                    area[i] = value
                elif value is not Missing and value is not None:
                    where = self._where(rows[i])
                    self._faults.add(f"the area is {_short(value)}", where=where, fix="give square pixels or omit it")
        for i in np.flatnonzero((area < 0) | np.isinf(area)).tolist():
            what = f"the area is {_short(values[i])}"
            self._faults.add(what, where=self._where(rows[i]), fix="give square pixels or omit it")
        given = ~np.isnan(area)
        wrong = given & ((area > (sides + 1).prod(1)) | (area * THIN < sides.max(1, initial=0)))
        self._notes["areas that no object in its box can have, replaced by width x height"] += int(wrong.sum())
        return np.where(given & ~wrong, area, box)

    def _misplaced(self, row: _Annotation, image: ImageEntry, flat: bool, overhang: float) -> None:
        size = f"its {image.width} x {image.height} px image"
        if flat:
            what, fix = f"has no area inside {size}", "remove it; bbox is [x, y, width, height] in pixels"
        else:
            what = f"leaves {size} by {overhang:.1f} px"
            fix = f"clip it (up to {OVERHANG:g} px is tolerated); bbox is [x, y, width, height] in px"
        self._faults.add(f"the box {row.bbox} {what}", where=self._where(row), fix=fix)


def _kept(rows: Sequence[_Annotation], keep: NDArray[np.bool_], *columns: NDArray[np.int64]) -> tuple[Any, ...]:
    """Rows and columns where `keep` says so."""
    if keep.all():
        return rows, *columns
    return [row for row, good in zip(rows, keep.tolist(), strict=True) if good], *(column[keep] for column in columns)


def looks_like_coco(path: Path) -> bool:
    """Whether a JSON file is an object with COCO's lists; nothing in them is read."""
    try:
        return isinstance(msgspec.json.decode(read_text(path), type=_Lists), _Lists)
    except (UserError, msgspec.MsgspecError, RecursionError):
        return False


class _Lists(msgspec.Struct):
    images: msgspec.Raw
    annotations: msgspec.Raw
    categories: msgspec.Raw


def safe_name(name: str) -> bool:
    """Whether a file name stays inside the folder that it is relative to."""
    return not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts and "\0" not in name


def _parse(path: Path) -> _File:
    if not path.is_file():
        raise UserError("there is no such file", where=str(path), fix="give a COCO annotation file (JSON)")
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        content = _parse_slowly(path, read_text(path), error)
    for key in ("images", "annotations", "categories"):
        if getattr(content, key) is Missing:
            raise _not_coco(path, key)
    return content


def _parse_slowly(path: Path, text: str, error: Exception) -> _File:
    """What Python's own parser takes where the fast one does not: NaN, or else the reason with its line and column."""
    with suppress(msgspec.MsgspecError, RecursionError):
        return msgspec.json.decode(text, type=_File)  # whose bytes had a mark
    try:
        content = json.loads(text)
    except json.JSONDecodeError as said:
        what = f"broken JSON at line {said.lineno}, column {said.colno}: {said.msg}"
        raise UserError(what, where=str(path), fix="export it again") from said
    except (ValueError, RecursionError) as said:
        raise UserError(f"cannot read this JSON: {said}", where=str(path), fix="export it again") from said
    if not isinstance(content, dict):
        raise _not_coco(path, "images") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(content.get(key), list):
            raise _not_coco(path, key) from error
    try:
        return msgspec.convert(content, _File)
    except (msgspec.MsgspecError, RecursionError) as said:
        raise UserError(f"not COCO's format: {said}", where=str(path), fix="export it again") from said


def _not_coco(path: Path, key: str) -> UserError:
    fix = "a COCO file is an object with the lists images, annotations and categories"
    return UserError(f"the list '{key}' is missing", where=str(path), fix=fix)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
