"""Where Pascal VOC labels and their images lie, and which split they are of.

`Annotations/` beside one folder of images, divided by `ImageSets/Main/*.txt` (VOC, CVAT) or by folders in both; or .xml
beside the images (LabelImg), in a folder for each split (Roboflow).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.data.faults import Faults
from bench.data.images import SUFFIXES
from bench.data.readers.reading import below, entries, folders, holds, lines, split_folders, split_of
from bench.data.split import Role
from models.errors import UserError

XML = (".xml",)
LOOKED_AT = 5  # files of a folder, to see what is in it
ANNOTATIONS = ("Annotations", "annotations", "labels", "Labels")
IMAGES = ("JPEGImages", "images", "Images", "JPEGimages", "jpegimages")
LISTS = Path("ImageSets", "Main")
OF_A_CLASS = re.compile("_(train|val|trainval|test)$")
WANTED = "give the folder with Annotations and JPEGImages, such as VOCdevkit/VOC2007, or one with .xml beside images"


@dataclass(frozen=True)
class Pair:
    """An image and its labels.

    Attributes:
        image: path of the image.
        label: path of the .xml.
        name: of the image in the data.
    """

    image: Path
    label: Path
    name: str


@dataclass(frozen=True)
class _Labels:
    """A label file: the split that its folder says, and its pair; no pair where the image is missing."""

    role: Role | None
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Places:
    """What belongs together.

    Attributes:
        layout: what was seen, in words.
        parts: by split; under None what is not divided.
    """

    layout: str
    parts: Mapping[Role | None, list[Pair]]


@dataclass(frozen=True)
class _Unit:
    """A folder of labels and one of images; they may be the same. Names of images begin with `prefix`."""

    role: Role | None
    labels: Path
    images: Path
    prefix: str = ""


def places(source: Path, undivided: bool, faults: Faults, notes: Counter[str]) -> Places:
    """Find labels and images.

    Args:
        source: the dataset's folder.
        undivided: whether it does not matter which split they are of.
        faults: takes labels without image, and what is wrong with lists.
        notes: counts what is in no split.

    Raises:
        UserError: there are no labels, or no images beside them.
    """
    layout, units = _units(source)
    found: dict[str, _Labels] = {}
    for unit in units:
        found |= _pairs(unit, faults, notes)
    lists = _lists(source, faults)
    if undivided:
        keys = list(dict.fromkeys(key for part in lists.values() for key in part)) if lists else sorted(found)
        where = {key: at for part in lists.values() for key, at in part.items()}
        return Places(layout, {None: _listed({key: where.get(key, "") for key in keys}, found, faults)})
    if lists:
        layout = f"{layout} with ImageSets"
        parts = {role: _listed(part, found, faults) for role, part in _divided(lists).items()}
        listed = {pair.image for part in parts.values() for pair in part}
        others = [pair for one in found.values() for pair in one.pairs if pair.image not in listed]
        notes["label files left out (in no split)"] += len(others)
        return Places(layout, {role: part for role, part in parts.items() if part})
    roles = {one.role for one in found.values()}
    divided: dict[Role | None, list[Pair]] = {}
    for _, one in sorted(found.items()):
        if one.role is None and roles != {None}:
            notes["label files left out (in no split)"] += len(one.pairs)
        else:
            divided.setdefault(one.role, []).extend(one.pairs)
    return Places(layout, divided)


def seen(source: Path) -> Path | None:
    """The first label file of a folder that has this layout."""
    found = _units_there(source)
    return next((path for path in below(found[1][0].labels, XML) if _is_voc(path)), None) if found else None


def _units(source: Path) -> tuple[str, list[_Unit]]:
    found = _units_there(source)
    if found is None:
        raise UserError("there are no Pascal VOC labels in it", where=str(source), fix=WANTED)
    layout, units = found
    return layout, [_with_images(unit) for unit in units]


def _units_there(source: Path) -> tuple[str, list[_Unit]] | None:
    """What holds labels, with the folder of labels for that of images while it is not known."""
    for name in ANNOTATIONS:
        if any(map(_holds_labels, (source / name, *folders(source / name)))):
            return f"{name}/", [_Unit(None, source / name, source / name)]
    for base in (source, *(source / name for name in IMAGES)):
        prefix = "" if base == source else f"{base.name}/"
        units = []
        for role, same in split_folders(base).items():
            for place in same:
                inner = next((place / name for name in ANNOTATIONS if _holds_labels(place / name)), place)
                if _holds_labels(inner):
                    units.append(_Unit(role, inner, inner, f"{place.name}/"))
        if units:
            return f"{prefix}SPLIT/*.xml", units
        if _holds_labels(base):
            return f"{prefix}*.xml beside the images", [_Unit(None, base, base)]
    return None


def _with_images(unit: _Unit) -> _Unit:
    """The unit with its folder of images: beside the folder of labels by name, or the only one there, or the same."""
    home = unit.labels.parent
    if unit.labels.name not in ANNOTATIONS:
        return unit
    named = [home / name for name in IMAGES if below(home / name)]
    if named:
        return _Unit(unit.role, unit.labels, named[0], unit.prefix)
    others = [path for path in folders(home) if path != unit.labels and holds(path)]
    if len(others) > 1:
        what = f"several folders may hold the images: {', '.join(path.name for path in others[:4])}"
        raise UserError(what, where=str(home), fix="call the right one JPEGImages")
    images = next((path for path in (*others, unit.labels, home) if holds(path)), None)
    if images is None:
        raise UserError("there are no images beside the labels", where=str(home), fix="put them into JPEGImages")
    return _Unit(unit.role, unit.labels, images, unit.prefix)


def _pairs(unit: _Unit, faults: Faults, notes: Counter[str]) -> dict[str, _Labels]:
    """Images and labels by the path that they share, without suffix."""
    images = _by_key(unit.images, below(unit.images), faults)
    labels = _by_key(unit.labels, [path for path in below(unit.labels, XML) if _is_voc(path)], faults)
    found: dict[str, _Labels] = {}
    for key, label in labels.items():
        first, slash, _ = key.partition("/")
        role = unit.role or (split_of(first) if slash else None)
        pairs: tuple[Pair, ...] = ()
        if key in images:
            name = unit.prefix + images[key].relative_to(unit.images).as_posix()
            pairs = (Pair(images[key], label, name),)
        else:
            fix = "restore the image, or remove the label file"
            faults.add(f"there is no image {key} in {unit.images.name}", where=str(label), fix=fix)
        found[unit.prefix + key] = _Labels(role, pairs)
    notes["images left out (no label file)"] += sum(key not in labels for key in images)
    return found


def _by_key(folder: Path, paths: list[Path], faults: Faults) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        key = path.relative_to(folder).with_suffix("").as_posix()
        if found.setdefault(key, path) != path:
            fix = "one label file can belong to one image only: rename or remove one"
            faults.add(f"{found[key].name} is here as well", where=str(path), fix=fix)
    return found


def _holds_labels(folder: Path) -> bool:
    """Whether label files are directly in a folder; the first few .xml are looked at."""
    return holds(folder, XML) and any(map(_is_voc, _xml(folder)[:LOOKED_AT]))


def _xml(folder: Path) -> list[Path]:
    paths = [folder / name for name in entries(folder, "make it readable") if name.lower().endswith(XML)]
    return [path for path in paths if path.is_file()]


def _is_voc(path: Path) -> bool:
    """Whether an XML file has VOC's root; what cannot be read is left to be complained of."""
    try:
        with path.open("rb") as file:
            head = file.read(4096).replace(b"\0", b"")
    except OSError:
        return True
    root = re.search(rb"<([A-Za-z][\w.-]*)", head)
    return root is None or root[1] == b"annotation"


def _lists(source: Path, faults: Faults) -> dict[str, dict[str, str]]:
    """The lists of a split each: FILE:LINE by key, by the name of the list. Those of single classes are left alone."""
    paths = [path for path in below(source / LISTS, (".txt",)) if not OF_A_CLASS.search(path.stem)]
    found = {path.stem.lower(): _keys(path, faults) for path in paths}
    return {name: keys for name, keys in found.items() if keys}


def _keys(path: Path, faults: Faults) -> dict[str, str]:
    found: dict[str, str] = {}
    for where, text in lines(path):
        key = text.strip('"').replace("\\", "/")
        key = key.rpartition(".")[0] if key.lower().endswith(SUFFIXES) else key
        if key in found:
            faults.add(f"{key} is in {found[key]} already", where=where, fix="remove this line")
        found.setdefault(key, where)
    return found


def _divided(lists: Mapping[str, dict[str, str]]) -> dict[Role | None, dict[str, str]]:
    """Which lists make which split. VOC's trainval is train where nothing divides it and there is a test."""
    parts: dict[Role | None, dict[str, str]] = {}
    for name, keys in lists.items():
        if role := split_of(name):
            parts.setdefault(role, {}).update(keys)
    if set(parts) == {"test"} and "trainval" in lists:
        parts["train"] = lists["trainval"]
    if not parts:
        parts[None] = {key: where for keys in lists.values() for key, where in keys.items()}
    order: tuple[Role | None, ...] = ("train", "val", "test", None)
    return {role: parts[role] for role in order if role in parts}


def _listed(keys: Mapping[str, str], found: Mapping[str, _Labels], faults: Faults) -> list[Pair]:
    """The pairs of a list; one that has no labels is a fault."""
    pairs: list[Pair] = []
    for key, where in keys.items():
        if key in found:
            pairs += found[key].pairs
        else:
            fix = "remove the id or add the labels; VOC2012 has none for test"
            faults.add(f"there is no label file {key}.xml", where=where, fix=fix)
    return pairs
