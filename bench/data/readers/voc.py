"""The Pascal VOC reader (Everingham et al. 2010, doi:10.1007/s11263-009-0275-4): an .xml with the boxes of each image.

Corners count pixels from 1 and belong to the box: xmin 1, xmax 1 is the first column alone, so x is xmin - 1 and the
width xmax - xmin + 1. `difficult` objects become ignore regions, since VOC counts them neither way. The parts of
persons (heads, hands) are not read. Where the files lie is found in `voc_places`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from bench.data.faults import Faults
from bench.data.found import Box, Found, Labelled, inside, labelled
from bench.data.images import upright_size
from bench.data.options import Options
from bench.data.readers.reading import deals_all, finite
from bench.data.readers.voc_places import Pair, places, seen
from bench.data.registry import Reader
from bench.data.split import Role
from bench.progress import bar
from models.errors import UserError

DIFFICULT = {"": False, "0": False, "false": False, "unspecified": False, "1": True, "true": True}


def read(place: str, options: Options) -> Found:
    """`voc:DIR` (a `bench.data.registry.Reader`).

    Args:
        place: path of the folder, such as VOCdevkit/VOC2007.
        options: as of `bench.data.spec.load`.

    Returns:
        Images by split, classes in alphabetical order.

    Raises:
        UserError: there is no such folder, or no labels or images in it.
    """
    source = options.folder(place, "voc")
    faults, notes = Faults(), Counter[str]()
    found = places(source, deals_all(options), faults, notes)
    taken: list[tuple[Role | None, Pair, tuple[int, int], list[Box]]] = []
    with bar("reading VOC labels", sum(map(len, found.parts.values()))) as advance:
        for role, pairs in found.parts.items():
            for pair in pairs:
                with faults.caught():
                    size = upright_size(pair.image)
                    taken.append((role, pair, size, _boxes(pair, size, notes, faults)))
                advance()
    names = sorted({box.name for *_, boxes in taken for box in boxes})
    labels = {name: label for label, name in enumerate(names, 1)}
    parts: dict[Role | None, list[Labelled]] = {role: [] for role in found.parts}
    for role, pair, size, boxes in taken:
        parts[role].append(labelled(pair.image, pair.name, size, boxes, labels))
    return Found(source.resolve().name, f"Pascal VOC, {found.layout}", tuple(names), parts, notes, faults)


def sees(folder: Path) -> str | None:
    """What of this layout lies in a folder."""
    label = seen(folder)
    return f"Pascal VOC ({label.relative_to(folder)})" if label else None


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
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path), fix="make it readable") from error
    return builder.close()


def _boxes(pair: Pair, size: tuple[int, int], notes: Counter[str], faults: Faults) -> list[Box]:
    """The objects of a label file; what is wrong with one is a fault, and it is left out."""
    root = parse(pair.label)
    _check_size(root.find("size"), pair, size)
    boxes = []
    for entry in root.findall("object"):
        with faults.caught():
            box = _box(entry, pair.label, size, notes)
            boxes += [box] if box else []
    return boxes


def _check_size(stated: Element | None, pair: Pair, size: tuple[int, int]) -> None:
    """Compare a size that is stated with that of the image; 0 states none."""
    if stated is None:
        return
    where = f"{pair.label}:{stated.get('line')}"
    sides = tuple(finite([stated.findtext(side, "").strip() or "0" for side in ("width", "height")], where))
    if 0 not in sides and sides != size:
        what = f"the labels are for {sides[0]:g} x {sides[1]:g} px, {pair.image} has {size[0]} x {size[1]} upright"
        raise UserError(what, where=where, fix="label the image as it is shown: turned where EXIF asks for it")


def _box(entry: Element, path: Path, size: tuple[int, int], notes: Counter[str]) -> Box | None:
    where = f"{path}:{entry.get('line')}"
    name = entry.findtext("name", "").strip()
    if not name:
        raise UserError("this object has no name", where=where, fix="add <name>")
    corner = entry.find("bndbox")
    if corner is None:
        raise UserError("this object has no box", where=where, fix="add <bndbox> with xmin, ymin, xmax and ymax")
    texts = [corner.findtext(key, "missing") for key in ("xmin", "ymin", "xmax", "ymax")]
    x1, y1, x2, y2 = finite(texts, f"{path}:{corner.get('line')}")
    difficult = entry.findtext("difficult", "").strip()
    if difficult.lower() not in DIFFICULT:
        raise UserError(f"difficult is {difficult!r}", where=where, fix="write 0 or 1")
    corners = inside((x1 - 1, y1 - 1, x2, y2), size, notes)
    if corners is None:
        return None
    ignore = DIFFICULT[difficult.lower()]
    notes["boxes made ignore regions (difficult)"] += ignore
    return Box(name, corners, ignore)


READER = Reader(read, sees)
