"""The COCO reader (Lin et al. 2014, arXiv:1405.0312): annotation files found by their names, images beside them.

COCO's own folders, Roboflow's (`SPLIT/_annotations.coco.json` beside the images), CVAT's (`instances_default.json`) and
what is named like them. The checks of one file are in `coco_file`.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bench.data.faults import Faults
from bench.data.found import WORDS, Found, Labelled
from bench.data.options import Options
from bench.data.readers.coco_file import Boxes, CocoFile, looks_like_coco, safe_name
from bench.data.registry import Reader
from bench.data.split import Role
from models.errors import UserError

Annotations = Mapping["Role | None", Path]
PLACES = ("", "annotations", "Annotations", "labels", *WORDS)
CALLED = re.compile("instances_|_annotations.coco")
OTHERS = re.compile("caption|keypoint|panoptic|stuff|image_info", re.IGNORECASE)  # of COCO, beside its boxes


def read(place: str, options: Options) -> Found:
    """`coco:DIR` (a `bench.data.registry.Reader`).

    Args:
        place: path of the folder.
        options: as of `bench.data.spec.load`.

    Raises:
        UserError: there is no such folder, no annotation file in it, or several of one split.
    """
    folder = options.folder(place, "coco")
    files = annotation_files(folder)
    return coco({role: roots(folder, path, role) for role, path in files.items()}, files, options, _name(folder))


def coco(
    images: Mapping[Role | None, Sequence[Path]], annotations: Annotations, options: Options, name: str = "coco"
) -> Found:
    """Read annotation files.

    Boxes may overhang the image by up to 1 px and are clipped. Crowds (`iscrowd` 1) keep their bbox; segmentations are
    not read. `area` is kept as it is, or is width x height where it is absent or cannot be.

    Args:
        images: for each split the folders that `file_name` may be relative to; the first is taken that has an image.
        annotations: the annotation file of each split, with bbox as x, y, width, height in px; under None of all
            images, where they are not divided.
        options: `classes`, so that boxes of other classes are not looked at.
        name: of the dataset.

    Returns:
        Images in the order of their ids.

    Raises:
        UserError: a file is missing, broken or no COCO file.
    """
    faults, notes = Faults(), Counter[str]()
    with uncollected():
        files = {role: CocoFile(path, faults, notes) for role, path in annotations.items()}
        names = classes(files)
        wanted = names if options.classes is None else [name for name in names if name in options.classes]
        labels = np.array([names.index(one) + 1 for one in wanted], np.int64)
        parts = {role: _part(file, images[role], wanted, labels, faults, notes) for role, file in files.items()}
    several = "an annotation file for each split" if len(files) > 1 else "one annotation file"
    return Found(name, f"COCO, {several}", tuple(names), parts, notes, faults)


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage meanwhile: of a million new boxes none is any, and looking through them takes seconds."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def classes(files: Mapping[Role | None, CocoFile]) -> list[str]:
    """The names of all files, in the order of their ids in the first file that has them.

    Exporters may list only what a file uses; a class that one split lacks is no mistake.
    """
    return list(dict.fromkeys(name for file in files.values() for name in file.categories.values()))


def annotation_files(folder: Path) -> dict[Role | None, Path]:
    """The annotation file of each split, by the name of the file or of its folder.

    Args:
        folder: of the dataset.

    Raises:
        UserError: there is none, or several say that they are of one split.
    """
    paths = _json_files(folder)
    by_role: dict[Role | None, list[Path]] = {}
    for path in paths:
        by_role.setdefault(role_of(path, folder), []).append(path)
    found = {role: _best(role, same) for role, same in by_role.items()}
    if set(found) - {None}:
        found.pop(None, None)  # something else in JSON beside the splits
    if not found:
        raise UserError(
            "there is no COCO annotation file in it",
            where=str(folder),
            fix="name them instances_train.json, instances_val.json and instances_test.json, "
            "or describe your layout in a TOML file (docs/data.md)",
        )
    return {role: found[role] for role in ("train", "val", "test", None) if role in found}


def role_of(path: Path, folder: Path) -> Role | None:
    """The split that a path speaks of: by its last word that names one (train2017 does), of the file or its folders."""
    words = re.findall("[a-z]+", path.relative_to(folder).with_suffix("").as_posix().lower())
    return next((WORDS[word] for word in reversed(words) if word in WORDS), None)


def roots(folder: Path, annotations: Path, role: Role | None) -> list[Path]:
    """The folders that file names may be relative to, the likeliest first.

    Args:
        folder: of the dataset.
        annotations: the file.
        role: of the split.
    """
    of_role = sorted(path for path in _folders(folder) if role and role_of(path, folder) == role)
    images = folder / "images"
    of_images = sorted(path for path in _folders(images) if role and role_of(path, images) == role)
    default = [images / "default", *of_images]
    beside = [annotations.parent, annotations.parent / "images"]
    every = [images, *default, *of_role, *(path / "images" for path in of_role), *beside, folder]
    return [path for path in dict.fromkeys(every) if path.is_dir()]


def sees(folder: Path) -> str | None:
    """What of this layout lies in a folder."""
    paths = _json_files(folder)
    return f"COCO ({paths[0].relative_to(folder)})" if paths else None


def _json_files(folder: Path) -> list[Path]:
    """COCO files in the folder, or in those where tools put them: by their names, else by what is in them."""
    found = [path for place in PLACES for path in sorted((folder / place).glob("*.json")) if path.is_file()]
    boxes = [path for path in dict.fromkeys(found) if not OTHERS.search(path.name)]
    return [path for path in boxes if CALLED.match(path.name) or looks_like_coco(path)]


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _best(role: Role | None, paths: list[Path]) -> Path:
    """The one annotation file of a split: where several are there, the one that is called instances_..."""
    plain = [path for path in paths if path.name.startswith("instances_")]
    if len(paths) == 1 or len(plain) == 1:
        return (plain or paths)[0]
    raise UserError(
        f"several annotation files may be of {role or 'all images'}: {', '.join(path.name for path in paths[:4])}",
        where=str(paths[0].parent),
        fix="move the others away, or name the right one in a TOML file (docs/data.md)",
    )


def _name(folder: Path) -> str:
    return folder.resolve().name


def _part(
    file: CocoFile,
    folders: Sequence[Path],
    wanted: Sequence[str],
    labels: np.ndarray,
    faults: Faults,
    notes: Counter[str],
) -> list[Labelled]:
    """The images of a file with their boxes; an image whose file is not there is a fault and left out."""
    paths = _paths(file, folders, faults, notes)
    boxes = file.boxes(wanted)
    order = np.argsort(boxes.image, kind="stable")
    edges = np.searchsorted(boxes.image[order], np.arange(len(file.images) + 1))
    textual = any(isinstance(entry.id, str) for entry in file.images)
    if textual:
        notes["image ids that are text, replaced by numbers in their order"] += len(file.images)
    sorted_boxes = _taken(boxes, order)
    return [
        Labelled(
            path,
            entry.file_name.replace("\\", "/"),
            entry.width,
            entry.height,
            sorted_boxes.corners[one],
            labels[sorted_boxes.name[one]],
            sorted_boxes.crowd[one],
            sorted_boxes.area[one],
            None if isinstance(entry.id, str) else entry.id,
        )
        for i, (entry, path) in enumerate(zip(file.images, paths, strict=True))
        if path is not None
        for one in [slice(edges[i], edges[i + 1])]
    ]


def _taken(boxes: Boxes, order: np.ndarray) -> Boxes:
    return Boxes(*(part[order] for part in (boxes.image, boxes.name, boxes.corners, boxes.crowd, boxes.area)))


def _paths(file: CocoFile, folders: Sequence[Path], faults: Faults, notes: Counter[str]) -> list[Path | None]:
    """The image file of each entry, known to exist from one listing per folder.

    A name with backslashes that is not there is tried with slashes.
    """
    listings: dict[Path, frozenset[str]] = {}

    def there(path: Path) -> bool:
        if path.parent not in listings:
            try:
                listings[path.parent] = frozenset(os.listdir(path.parent))
            except (OSError, ValueError):
                listings[path.parent] = frozenset()
        return path.name in listings[path.parent]

    def found(root: Path, name: str) -> Path | None:
        for one in dict.fromkeys((name, name.replace("\\", "/"))):
            if safe_name(one) and there(root / one):
                return root / one
        return None

    names = [entry.file_name for entry in file.images]
    root = next((one for one in folders if any(found(one, name) for name in names)), None)
    paths: list[Path | None] = []
    for entry in file.images:
        path = found(root, entry.file_name) if root else None
        paths.append(path)
        if path is None:
            _missing(file.path, entry.id, entry.file_name, [root] if root else folders, faults)
        elif "\\" in entry.file_name and "\\" not in path.name:
            notes["file names with backslashes, read as slashes"] += 1
    return paths


def _missing(file: Path, key: object, name: str, folders: Sequence[Path], faults: Faults) -> None:
    where = f"{file}, image {key}"
    if not safe_name(name.replace("\\", "/")):
        fix = "put the images into the data's folder; file_name is relative to the folder of images"
        faults.add(f"the file name {name!r} leaves the folder of images", where=where, fix=fix)
        return
    if not name.isascii() and sys.getfilesystemencoding() != "utf-8":
        fix = "set LC_ALL=C.UTF-8, in which file names may have other letters than ASCII's"
        faults.add(f"the image {name} has a name that this locale cannot express", where=where, fix=fix)
        return
    looked = " or ".join(str(folder) for folder in folders[:3])
    fix = "restore it or take it out; file_name is relative to the folder of images"
    faults.add(f"the image {name} is missing in {looked}", where=where, fix=fix)


READER = Reader(read, sees)
