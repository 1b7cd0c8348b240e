"""Reader of Pascal VOC (Everingham et al. 2010, doi:10.1007/s11263-009-0275-4) and whatever has its layout.

`Annotations/ID.xml`, `JPEGImages/ID.jpg`, `ImageSets/Main/{train,val,test}.txt`.

Corners count pixels from 1 and belong to the box: xmin 1, xmax 1 is the first column alone, so x is xmin - 1 and the
width xmax - xmin + 1. `difficult` objects become ignore regions, since VOC counts them neither way. The parts of
persons (heads, hands) are not read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from bench.data.convert.converted import Box, Converted, Labelled, inside
from bench.data.convert.reading import SUFFIXES, dealt, entries, finite, image_size, lines
from bench.data.split import ROLES, Role
from bench.progress import bar
from models.errors import UserError, suggest

SETS = ("trainval", *ROLES)


def read_voc(
    source: Path, *, parts: tuple[float, float, float] | None = None, classes: Sequence[str] | None = None
) -> Converted:
    """Read a dataset in VOC's layout.

    Args:
        source: such as VOCdevkit/VOC2007.
        parts: shares of train, val and test, dealt by the hash of the id; None takes the splits that are there.
        classes: the names that may occur, in the order of their ids; None takes those that do, in alphabetical order.

    Returns:
        Images and boxes by split.

    Raises:
        UserError: something is missing, malformed or contradictory.
    """
    labels = {Path(name).stem: source / "Annotations" / name for name in _xml(source)}
    images = _images(source / "JPEGImages")
    ids = _dealt(source, labels, parts) if parts else {role: _ids(_set(source, role)) for role in ROLES}
    notes = Counter(
        {"label files left out: in no split": len(labels) - len({key for role in ids.values() for key in role})}
    )
    splits: dict[Role, list[Labelled]] = {role: [] for role in ROLES}
    with bar("reading VOC", sum(map(len, ids.values()))) as advance:
        for role in ROLES:
            for key, where in ids[role].items():
                if key not in labels:
                    fix = "remove the id or add the labels; VOC2012 has none for test"
                    raise UserError(f"there is no Annotations/{key}.xml", where=where, fix=fix)
                splits[role].append(_labelled(labels[key], images, classes, notes))
                advance()
    found = sorted({box.name for split in splits.values() for image in split for box in image.boxes})
    return Converted(tuple(classes or found), splits, notes)


def parse(path: Path) -> Element:
    """An XML file whose elements carry the line they begin on as attribute `line`.

    Args:
        path: of the file.

    Returns:
        The root element.

    Raises:
        UserError: the XML is broken, or declares a document type, in which entities could be declared that expand
            without end.
    """

    def refuse(*_: object) -> None:
        where = f"{path}:{parser.CurrentLineNumber}"
        raise UserError("it declares a document type", where=where, fix="remove the line; VOC files have none")

    def start(tag: str, attributes: dict[str, str]) -> None:
        builder.start(tag, attributes | {"line": str(parser.CurrentLineNumber)})

    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = start, builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(path.read_bytes(), True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the latter two for encodings unknown to it
        where = f"{path}:{parser.CurrentLineNumber}"
        raise UserError(f"cannot read it as XML: {error}", where=where, fix="restore it or label it again") from error
    return builder.close()


def _xml(source: Path) -> list[str]:
    what = "give the folder with Annotations, JPEGImages and ImageSets, such as VOCdevkit/VOC2007"
    return [name for name in entries(source / "Annotations", what) if name.endswith(".xml")]


def _images(folder: Path) -> Mapping[str, Path]:
    """Image files by their name without suffix."""
    found: dict[str, Path] = {}
    for name in entries(folder, "the images belong here"):
        path = folder / name
        if path.suffix.lower() in SUFFIXES and found.setdefault(path.stem, path) != path:
            fix = "one label file can belong to one image only: rename or remove one"
            raise UserError(f"{found[path.stem].name} is here as well", where=str(path), fix=fix)
    return found


def _set(source: Path, name: str) -> Path:
    return source / "ImageSets" / "Main" / f"{name}.txt"


def _ids(path: Path) -> dict[str, str]:
    """FILE:LINE by image id."""
    if not path.is_file():
        raise UserError(
            f"there is no list of the {path.stem} images",
            where=str(path),
            fix="write one id per line into it, or deal all labelled images anew with --split 0.8,0.1,0.1",
        )
    found: dict[str, str] = {}
    for where, text in lines(path):
        if text in found:
            raise UserError(f"{text} is in {found[text]} already", where=where, fix="remove this line")
        found[text] = where
    return found


def _dealt(source: Path, labels: Mapping[str, Path], parts: tuple[float, float, float]) -> dict[Role, dict[str, str]]:
    """All images that any list names, or all labelled ones where there is no list.

    VOC2012 labels images for other tasks as well, and not every object in them.
    """
    listed = {
        key: where for name in SETS if _set(source, name).is_file() for key, where in _ids(_set(source, name)).items()
    }
    known = listed or {key: str(path) for key, path in labels.items()}
    return {role: {key: known[key] for key in keys} for role, keys in dealt(sorted(known), parts).items()}


def _labelled(path: Path, images: Mapping[str, Path], classes: Sequence[str] | None, notes: Counter[str]) -> Labelled:
    if path.stem not in images:
        fix = "add the image to JPEGImages, or take the id out of ImageSets/Main"
        raise UserError(f"there is no image {path.stem} in JPEGImages", where=str(path), fix=fix)
    image, root = images[path.stem], parse(path)
    width, height = image_size(image)
    size = root.find("size")
    if size is not None:
        stated = tuple(finite([size.findtext(side, "0") for side in ("width", "height")], f"{path}:{size.get('line')}"))
        if 0 not in stated and stated != (width, height):
            raise UserError(
                f"the labels are for {stated[0]:g} x {stated[1]:g} px, {image} has {width} x {height}",
                where=f"{path}:{size.get('line')}",
                fix="label the image as it is stored, EXIF rotation ignored",
            )
    boxes = [_box(entry, path, (width, height), classes, notes) for entry in root.findall("object")]
    return Labelled(image, image.name, width, height, tuple(box for box in boxes if box))


def _box(
    entry: Element, path: Path, size: tuple[int, int], classes: Sequence[str] | None, notes: Counter[str]
) -> Box | None:
    where = f"{path}:{entry.get('line')}"
    name = entry.findtext("name", "").strip()
    if not name:
        raise UserError("this object has no name", where=where, fix="add <name>")
    if classes and name not in classes:
        raise UserError(f"the class {name!r} is not among --classes", where=where, fix=suggest(name, classes))
    corner = entry.find("bndbox")
    if corner is None:
        raise UserError("this object has no box", where=where, fix="add <bndbox> with xmin, ymin, xmax and ymax")
    texts = [corner.findtext(key, "missing") for key in ("xmin", "ymin", "xmax", "ymax")]
    x1, y1, x2, y2 = finite(texts, f"{path}:{corner.get('line')}")
    bbox = inside((x1 - 1, y1 - 1, x2, y2), *size, notes)
    difficult = entry.findtext("difficult", "0").strip()
    if difficult not in ("0", "1"):
        raise UserError(f"difficult is {difficult!r}", where=where, fix="write 0 or 1")
    if bbox is None:
        return None
    notes["boxes made ignore regions: difficult"] += difficult == "1"
    return Box(name, bbox, ignore=difficult == "1")
