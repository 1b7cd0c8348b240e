"""Where the images of YOLO labels lie, and which split they are of.

What the folder says of itself goes first; else folders are looked for that are called after splits, then lists of
images, then everything is taken undivided.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from bench.data.faults import Faults
from bench.data.found import WORDS
from bench.data.images import SUFFIXES
from bench.data.readers.reading import below, lines, split_folders
from bench.data.readers.yolo_names import LISTED, Described
from bench.data.split import ROLES, Role
from models.errors import UserError


@dataclass
class Places:
    """What was found.

    Attributes:
        layout: in words.
        parts: images by split; under None what is not divided.
        roots: folders that images were looked for in.
    """

    layout: str
    parts: dict[Role | None, list[Path]] = field(default_factory=dict)
    roots: list[Path] = field(default_factory=list)

    def add(self, role: Role | None, images: Sequence[Path], roots: Sequence[Path]) -> None:
        """Add images to a split, each once."""
        self.parts[role] = list(dict.fromkeys([*self.parts.get(role, []), *images]))
        self.roots = list(dict.fromkeys([*self.roots, *roots]))


def places(source: Path, said: Described, faults: Faults, notes: Counter[str]) -> Places:
    """Find the images of each split.

    Args:
        source: the dataset's folder.
        said: by the folder itself.
        faults: takes what a list names and is not there.
        notes: counts paths that are not there.

    Raises:
        UserError: there are no images.
    """
    found, missing = _said(source, said, faults)
    layout = said.file.name
    if not any(found.parts.values()):
        found = next(filter(lambda one: any(one.parts.values()), _laid_out(source, faults)), Places(""))
        layout = found.layout
    elif missing:
        for other in _folders(source):  # Roboflow's data.yaml says valid or val, whatever the folder is called
            for role in missing:
                if role not in found.parts and other.parts.get(role):
                    found.add(role, other.parts[role], other.roots)
    if lost := [text for texts in missing.values() for text in texts]:
        notes[f"paths of splits that are not there ({', '.join(lost[:3])})"] += len(lost)
    found.layout = layout
    found.parts = {role: found.parts[role] for role in (*ROLES, None) if found.parts.get(role)}
    if not found.parts:
        tried = f"; {said.file.name} speaks of {', '.join(lost[:3])}" if lost else ""
        fix = "put them into images/ and the labels into labels/, or all into one folder"
        raise UserError(f"there are no images in it{tried}", where=str(source), fix=fix)
    return found


class LabelFiles:
    """Where labels are: in `labels` instead of the last `images` of an image's path, or else beside the image.

    Args:
        source: the dataset's folder.
    """

    def __init__(self, source: Path):
        self._source = source
        self._apart: dict[Path, Path | None] = {}

    def of(self, image: Path) -> Path:
        """The label file of an image, which need not be there."""
        return (self.folder(image.parent) or image.parent) / f"{image.stem}.txt"

    def folder(self, images: Path) -> Path | None:
        """The folder of labels that belongs to one of images; None where they are beside the images."""
        if images not in self._apart:
            self._apart[images] = self._find(images)
        return self._apart[images]

    def any(self, images: Sequence[Path]) -> bool:
        """Whether there are labels for images at all, so that those without one can be taken for empty."""
        apart = {self.folder(image.parent) for image in images}
        return any(folder and folder.is_dir() for folder in apart) or any(self.of(image).is_file() for image in images)

    def _find(self, images: Path) -> Path | None:
        parts = images.relative_to(self._source).parts
        if "images" not in parts:
            return None
        last = len(parts) - 1 - parts[::-1].index("images")
        top = self._source.joinpath(*parts[:last], "labels")
        return top.joinpath(*parts[last + 1 :]) if top.is_dir() else None


def _said(source: Path, said: Described, faults: Faults) -> tuple[Places, dict[Role, list[str]]]:
    """What the folder's own paths lead to, and those that lead nowhere."""
    found, missing = Places(""), dict[Role, list[str]]()
    lists = _Folders(source, source)
    for role, texts in said.paths.items():
        for text in texts:
            path = _inside(source, said.root, text)
            if path is None and said.file.name in LISTED:
                path = lists.file(_posix(text))  # darknet's paths are those of the machine that trains, as in its lists
            if path is None:
                missing.setdefault(role, []).append(text)
            elif path.is_dir():
                found.add(role, below(path), [path])
            elif path.suffix.lower() in SUFFIXES:
                found.add(role, [path], [path.parent])
            else:
                _add_list(found, role, path, source, faults)
    return found, missing


def _inside(source: Path, root: str, text: str) -> Path | None:
    """What a path leads to in the dataset's folder; None where nothing is there."""
    written = _posix(text)
    starts = (_posix(root) / written, written, _without_dots(written), _without_dots(_posix(root)) / written)
    return next((path for start in dict.fromkeys(starts) if (path := _there(source, start))), None)


def _posix(text: str) -> PurePosixPath:
    return PurePosixPath(PureWindowsPath(text).as_posix())


def _without_dots(path: PurePosixPath) -> PurePosixPath:
    """A path without the `..` that it begins with."""
    parts = list(path.parts)
    while parts and parts[0] in ("..", "."):
        parts.pop(0)
    return PurePosixPath(*parts)


def _there(source: Path, written: PurePosixPath) -> Path | None:
    """A path that exists and does not leave the dataset's folder by what is written in it."""
    if "\0" in str(written):
        return None
    for home in map(Path, (os.path.abspath(source), os.path.realpath(source))):
        path = Path(os.path.normpath(home / written))
        if path.is_relative_to(home) and os.path.exists(path):
            return source / path.relative_to(home)
    return None


def _laid_out(source: Path, faults: Faults) -> Iterator[Places]:
    """What may be there when the folder does not say it, the likeliest first."""
    yield from _folders(source)
    if lists := [path for path in sorted(source.glob("*.txt")) if is_list(path)]:
        found = Places("lists of images")
        for path in lists:
            _add_list(found, WORDS[path.stem.lower()], path, source, faults)
        yield found
    yield Places("images/ and labels/", {None: below(source / "images")}, [source / "images"])
    yield Places("labels beside the images", {None: below(source)}, [source])


def _folders(source: Path) -> Iterator[Places]:
    """Folders that are called after splits: in images/, with images/ in them, or with images and labels in them."""
    split = Places("images/SPLIT and labels/SPLIT", roots=[source / "images"])
    for role, folders in split_folders(source / "images").items():
        split.add(role, [path for folder in folders for path in below(folder)], [])
    yield split
    split = Places("SPLIT/images and SPLIT/labels")
    for role, folders in split_folders(source).items():
        inner = [folder / "images" for folder in folders if (folder / "images").is_dir()]
        split.add(role, [path for folder in inner for path in below(folder)], inner)
    yield split
    split = Places("SPLIT/ with labels beside the images")
    for role, folders in split_folders(source).items():
        split.add(role, [path for folder in folders for path in below(folder)], folders)
    yield split


def is_list(path: Path) -> bool:
    """Whether a text file is called as a list of a split's images is, and is not the labels of an image beside it."""
    named = path.stem.lower() in WORDS and path.is_file()
    return named and not any(path.with_suffix(suffix).exists() for suffix in SUFFIXES)


def _add_list(found: Places, role: Role | None, path: Path, source: Path, faults: Faults) -> None:
    """Add the images that a text file lists; one that is not there is a fault."""
    images, folders = [], _Folders(source, path.parent)
    for where, text in lines(path):
        image = folders.file(_posix(text))
        if image is None:
            fix = "restore the image or remove the line; paths start at the dataset's folder"
            faults.add(f"the image {text} is missing", where=where, fix=fix)
        else:
            images.append(image)
    found.add(role, images, list(dict.fromkeys(image.parent for image in images)))


class _Folders:
    """Finds files that a list names, from its own folder or the dataset's.

    Lists are written for the machine that trains, so folders in front are tried without: data/obj_train_data/a.jpg.

    Args:
        source: the dataset's folder.
        beside: folder of the list.
    """

    def __init__(self, source: Path, beside: Path):
        self._source, self._beside = source, PurePosixPath(beside.relative_to(source).as_posix())
        self._known: dict[PurePosixPath, list[tuple[Path, frozenset[str]]]] = {}

    def file(self, written: PurePosixPath) -> Path | None:
        """The file of a line; None where it is nowhere."""
        if written.parent not in self._known:
            self._known[written.parent] = self._listings(written.parent)
        return next(
            (place / written.name for place, names in self._known[written.parent] if written.name in names), None
        )

    def _listings(self, written: PurePosixPath) -> list[tuple[Path, frozenset[str]]]:
        shorter = (PurePosixPath(*written.parts[i:]) for i in range(len(written.parts) + 1))
        starts = dict.fromkeys([self._beside / written, *shorter])
        places = [place for start in starts if (place := _there(self._source, start)) and place.is_dir()]
        return [(place, frozenset(os.listdir(place))) for place in places]
