"""The YOLO reader: a .txt per image, a line per object, as Ultralytics, Roboflow, CVAT, LabelImg and others write it.

A line is `class cx cy w h`, the box's centre and sides as shares of the image's sides; or `class x1 y1 x2 y2 x3 y3
...`, a polygon or an oriented box that becomes its bounding box; or, where data.yaml has `kpt_shape`, a box and the
points of a pose, which are not read. An image without a label file has no objects.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from bench.data.faults import Faults
from bench.data.found import Box, Found, Labelled, inside, labelled
from bench.data.images import upright_size
from bench.data.options import Options
from bench.data.readers.reading import below, deals_all, entries, finite, lines, split_folders, whole
from bench.data.readers.yolo_names import LISTED, Described, described, yaml_of_labels
from bench.data.readers.yolo_places import LabelFiles, Places, is_list, places
from bench.data.registry import Reader
from bench.data.split import Role
from bench.progress import bar
from models.errors import UserError

FAR = 2.0  # shares beyond this are no rounding and no box over the edge
TEXT = (".txt",)
LOOKED_AT = 20  # text files of a folder, to see what is in it
LIKE_LABELS = re.compile(r"\s*\d+(\.0*)?([ \t]+-?[\d.]+(e-?\d+)?){4,}[ \t]*(\r?\n|$)", re.IGNORECASE)


def read(place: str, options: Options) -> Found:
    """`yolo:DIR` (a `bench.data.registry.Reader`).

    Args:
        place: path of the folder.
        options: as of `bench.data.spec.load`; where they deal all images anew, also those that are in no split.

    Returns:
        Images by split, named by their paths without the folder `images`.

    Raises:
        UserError: there is no such folder, or there are no class names, images or labels in it.
    """
    source = options.folder(place, "yolo")
    faults, notes = Faults(), Counter[str]()
    said = described(source)
    found = places(source, said, faults, notes)
    files = LabelFiles(source)
    parts = _with_labels(found, files, options, notes)
    _settle_others(found, parts, files, deals_all(options), faults, notes)
    names = _names([image for images in parts.values() for image in images], source)
    labels = {name: label for label, name in enumerate(said.names, 1)}
    taken: dict[Role | None, list[Labelled]] = {role: [] for role in parts}
    with bar("reading YOLO labels", sum(map(len, parts.values()))) as advance:
        for role, images in parts.items():
            for path in images:
                with faults.caught():
                    size = upright_size(path)
                    boxes = _boxes(files.of(path), size, said, notes, faults)
                    taken[role].append(labelled(path, names[path], size, boxes, labels))
                advance()
    return Found(source.resolve().name, f"YOLO, {found.layout}", said.names, taken, notes, faults)


def sees(folder: Path) -> str | None:
    """What of this layout lies in a folder."""
    if path := yaml_of_labels(folder):
        return f"YOLO ({path.name})"
    for name in ("obj.names", "obj.data"):
        if (folder / name).is_file():
            return f"YOLO ({name})"
    of_splits = [part for base in (folder, folder / "labels") for part in split_folders(base).values()]
    below = [place for part in of_splits for one in part for place in (one, one / "labels")]
    for place in (folder, folder / "labels", folder / "images", *below):
        if label := _first_labels(place):
            return f"YOLO ({label.relative_to(folder)})"
    return None


def parse(text: str, where: str, points: int = 0) -> tuple[int, tuple[float, float, float, float], str]:
    """One line of labels.

    Args:
        text: the line.
        where: it stands, for the error message.
        points: numbers of a pose behind its box; 0: there are no poses.

    Returns:
        Class number; x1, y1, x2, y2 as shares of the image's sides; and what was changed, empty for a box.

    Raises:
        UserError: the line is malformed.
    """
    parts = text.split()
    _check_columns(len(parts), points, where)
    kind, *values = finite(parts, where)
    changed = ""
    if points and len(values) > 4:
        values, changed = values[:4], "poses, of which only the boxes are read"
    if max(map(abs, values)) > FAR:
        what = f"{max(values, key=abs):g} is no share of an image"
        raise UserError(what, where=where, fix="divide pixels by the side")
    if len(values) > 4:
        corners = min(values[0::2]), min(values[1::2]), max(values[0::2]), max(values[1::2])
        return whole(kind, "class", where), corners, "polygons and oriented boxes made upright boxes around them"
    x, y, w, h = values
    if min(w, h) < 0:
        raise UserError("a side is negative", where=where, fix="write class cx cy w h")
    return whole(kind, "class", where), (x - w / 2, y - h / 2, x + w / 2, y + h / 2), changed


def _check_columns(count: int, points: int, where: str) -> None:
    if count == 5 or (points and count == 5 + points) or (not points and count >= 7 and count % 2):
        return
    if points:
        fix = f"write class cx cy w h and {points} numbers of points, as kpt_shape says, or none"
        raise UserError(f"{count} columns", where=where, fix=fix)
    if count == 6:
        fix = "give the labels: class cx cy w h"
        raise UserError("6 columns, the last a confidence: this is a prediction and no label", where=where, fix=fix)
    fix = "write class cx cy w h, or class and x y of three corners or more; poses need kpt_shape in data.yaml"
    raise UserError(f"{count} columns", where=where, fix=fix)


def _with_labels(
    found: Places, files: LabelFiles, options: Options, notes: Counter[str]
) -> dict[Role | None, list[Path]]:
    """The parts that are labelled. One that is not would be taken for images without objects."""
    parts = {role: images for role, images in found.parts.items() if files.any(images)}
    without = {role: images for role, images in found.parts.items() if role not in parts}
    if without and (not parts or options.split is None):
        role, images = next(iter(without.items()))
        home = images[0].parent
        place = files.folder(home) or home
        what = f"the {len(images):,} images of {role} have no labels" if role else f"{len(images):,} images, no labels"
        fix = f"put a .txt per image into {place}, or take the images away"
        raise UserError(what, where=str(home), fix=fix)
    for role, images in without.items():
        notes[f"images left out (there are no labels of {role})"] += len(images)
    return parts


def _settle_others(
    found: Places,
    parts: dict[Role | None, list[Path]],
    files: LabelFiles,
    undivided: bool,
    faults: Faults,
    notes: Counter[str],
) -> None:
    """Take in or count images that are in no split, and complain of labels whose image is missing."""
    every = {path for root in found.roots for path in below(root)} | {path for part in parts.values() for path in part}
    known = {files.of(path) for path in every}
    for path in sorted({path for root in found.roots for path in _label_files(root, files)} - known):
        faults.add("the image of these labels is missing", where=str(path), fix="restore it or remove them")
    others = sorted(every - {path for part in found.parts.values() for path in part})
    if undivided:
        everything = [path for part in parts.values() for path in part]
        everything += [path for path in others if files.of(path).is_file()]
        others = [path for path in others if not files.of(path).is_file()]
        parts.clear()
        parts[None] = list(dict.fromkeys(everything))
    notes["images left out (in no split)"] += len(others)


def _label_files(root: Path, files: LabelFiles) -> list[Path]:
    """The label files that belong to a folder of images."""
    apart = files.folder(root)
    found = [path for path in below(apart or root, TEXT) if path.name not in LISTED]
    return [path for path in found if _like_labels(path) or (apart and not is_list(path))]


def _first_labels(folder: Path) -> Path | None:
    names = entries(folder, "make it readable") if folder.is_dir() else []
    paths = [folder / name for name in names if name.lower().endswith(TEXT) and name not in LISTED][:LOOKED_AT]
    return next((path for path in paths if path.is_file() and _like_labels(path)), None)


def _like_labels(path: Path) -> bool:
    """Whether a text file begins with a line of labels."""
    try:
        with path.open("rb") as file:
            return bool(LIKE_LABELS.match(file.read(4096).decode("utf-8-sig", errors="replace")))
    except OSError:
        return False


def _names(images: list[Path], source: Path) -> dict[Path, str]:
    """What images are called: their paths without the folder `images`, where that names each once."""
    full = {path: path.relative_to(source) for path in images}
    short = {path: "/".join(part for part in name.parts if part != "images") for path, name in full.items()}
    clear = len(set(short.values())) == len(short)
    return short if clear else {path: name.as_posix() for path, name in full.items()}


def _boxes(path: Path, size: tuple[int, int], said: Described, notes: Counter[str], faults: Faults) -> list[Box]:
    """The objects of a label file; what is wrong with a line is a fault, and it is left out."""
    if not path.is_file():
        notes["images without a label file, taken as without objects"] += 1
        return []
    boxes = []
    for where, text in lines(path):
        with faults.caught():
            kind, (x1, y1, x2, y2), changed = parse(text, where, said.points)
            if not 0 <= kind < len(said.names):
                fix = f"there are names for 0 to {len(said.names) - 1}"
                raise UserError(f"class {text.split()[0]} is unknown", where=where, fix=fix)
            if changed:
                notes[changed] += 1
            corners = inside((x1 * size[0], y1 * size[1], x2 * size[0], y2 * size[1]), size, notes)
            boxes += [Box(said.names[kind], corners)] if corners else []
    return boxes


READER = Reader(read, sees)
