"""Pascal VOC: pixels from 1, difficult objects, lists of images, and XML that cannot hurt."""

from pathlib import Path

import pytest

from bench.data.convert.voc import parse, read_voc
from bench.data.convert.write import write
from models.errors import UserError
from tests.support.reread import draw, reread

WIDTH, HEIGHT = 40, 30
PERSON = (
    "<object><name>person</name><bndbox><xmin>11</xmin><ymin>6</ymin><xmax>20</xmax><ymax>25</ymax></bndbox></object>"
)


def entry(name: str, corners: tuple, extra: str = "") -> str:
    sides = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
    return f"<object><name>{name}</name><bndbox>{sides}</bndbox>{extra}</object>"


def label(
    voc: Path, key: str, *objects: str, size: str | None = f"<width>{WIDTH}</width><height>{HEIGHT}</height>"
) -> None:
    head = f"<annotation>\n<size>{size}</size>\n" if size else "<annotation>\n\n"
    (voc / "Annotations" / f"{key}.xml").write_text(head + "\n".join(objects) + "\n</annotation>")


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    folder = tmp_path / "VOC2007"
    (folder / "Annotations").mkdir(parents=True)
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    for role, key in (("train", "a"), ("val", "b"), ("test", "c")):
        draw(folder / "JPEGImages" / f"{key}.jpg", WIDTH, HEIGHT)
        label(folder, key, PERSON)
        (folder / "ImageSets" / "Main" / f"{role}.txt").write_text(f"{key}\n")
    return folder


def test_written_and_read_again(voc, tmp_path):
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    corner = entry("chair", (1, 1, 1, 1))
    whole = entry("chair", (1, 1, WIDTH, HEIGHT), "<difficult>1</difficult>")
    label(voc, "a", PERSON.replace("</object>", f"{part}<difficult>0</difficult></object>"), corner, whole)
    label(voc, "c", entry("boat", (1.5, 2.25, 10.5, 8)))
    write(read_voc(voc), tmp_path / "out")
    assert reread(tmp_path / "out") == {
        "train": {
            "a.jpg": [
                ("person", (10, 5, 10, 20), False),
                ("chair", (0, 0, 1, 1), False),
                ("chair", (0, 0, 40, 30), True),
            ]
        },
        "val": {"b.jpg": [("person", (10, 5, 10, 20), False)]},
        "test": {"c.jpg": [("boat", (0.5, 1.25, 10, 6.75), False)]},
    }


def test_classes_are_alphabetical_or_as_given(voc):
    label(voc, "c", entry("chair", (1, 1, 5, 5)))
    assert read_voc(voc).classes == ("chair", "person")
    assert read_voc(voc, classes=["person", "chair", "boat"]).classes == ("person", "chair", "boat")
    with pytest.raises(UserError, match=r"c\.xml:3: the class 'chair' is not among --classes \(did you mean 'chairs'"):
        read_voc(voc, classes=["person", "chairs"])


def test_boxes_over_the_edge(voc):
    label(voc, "a", entry("person", (0, 0, 45, 10)), entry("person", (20, 20, 19, 25)), PERSON)
    found = read_voc(voc)
    assert [box.bbox for box in found.splits["train"][0].boxes] == [(0, 0, 40, 10), (10, 5, 10, 20)]
    assert found.notes["boxes clipped to the image"] == 1
    assert found.notes["boxes left out: no area inside the image"] == 1


def test_a_size_that_says_nothing_is_taken_from_the_image(voc):
    label(voc, "a", PERSON, size="<width>0</width><height>0</height>")
    label(voc, "b", PERSON, size=None)
    found = read_voc(voc)
    assert {(image.width, image.height) for split in found.splits.values() for image in split} == {(WIDTH, HEIGHT)}


def test_split_deals_what_is_listed_or_else_everything(voc):
    for key in map(str, range(60)):
        draw(voc / "JPEGImages" / f"{key}.jpg", 8, 8)
        label(voc, key, size=None)
    listed = read_voc(voc, parts=(0.4, 0.3, 0.3))
    assert sorted(image.name for split in listed.splits.values() for image in split) == ["a.jpg", "b.jpg", "c.jpg"]
    assert listed.notes["label files left out: in no split"] == 60
    for path in (voc / "ImageSets" / "Main").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"train\.txt: there is no list of the train images .*--split 0\.8,0\.1,0\.1"):
        read_voc(voc)
    everything = read_voc(voc, parts=(0.4, 0.3, 0.3))
    assert sum(map(len, everything.splits.values())) == 63
    roles = {image.name: role for role, split in everything.splits.items() for image in split}
    assert all(roles[image.name] == role for role, split in listed.splits.items() for image in split)


BOMB = '<!DOCTYPE a [<!ENTITY x "xxxxxxxx"><!ENTITY y "&x;&x;&x;&x;">]>\n<annotation>&y;</annotation>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_document_types_are_refused(tmp_path, encoding):
    path = tmp_path / "a.xml"
    path.write_text('<?xml version="1.0"?>\n' + BOMB, encoding=encoding)
    with pytest.raises(UserError, match=r"a\.xml:2: it declares a document type"):
        parse(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</object>", "", r"a\.xml:4: cannot read it as XML: mismatched tag"),
        ("<annotation>", '<?xml version="1.0" encoding="gbk"?><annotation>', r"a\.xml:1: cannot read it as XML"),
        ("<name>person</name>", "", r"a\.xml:3: this object has no name"),
        ("<xmin>11</xmin>", "", r"a\.xml:3: could not convert string to float: 'missing'"),
        ("bndbox", "box", r"a\.xml:3: this object has no box"),
        (">11<", ">inf<", r"a\.xml:3: not every number is finite"),
        ("<name>", "<difficult>maybe</difficult><name>", r"a\.xml:3: difficult is 'maybe'"),
        ("<width>40", "<width>80", r"a\.xml:2: the labels are for 80 x 30 px, .*a\.jpg has 40 x 30"),
    ],
)
def test_bad_labels(voc, old, new, message):
    path = voc / "Annotations" / "a.xml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=message):
        read_voc(voc)


def test_lists_images_and_labels_that_do_not_match(voc):
    listed = voc / "ImageSets" / "Main" / "val.txt"
    listed.write_text("b\ngone\n")
    with pytest.raises(UserError, match=r"val\.txt:2: there is no Annotations/gone\.xml"):
        read_voc(voc)
    listed.write_text("b\n\nb\n")
    with pytest.raises(UserError, match=r"val\.txt:3: b is in .*val\.txt:1 already"):
        read_voc(voc)
    listed.write_text("b\n")
    draw(voc / "JPEGImages" / "b.png", 8, 8)
    with pytest.raises(UserError, match=r"b\.png: b\.jpg is here as well"):
        read_voc(voc)
    for suffix in ("png", "jpg"):
        (voc / "JPEGImages" / f"b.{suffix}").unlink()
    with pytest.raises(UserError, match=r"b\.xml: there is no image b in JPEGImages"):
        read_voc(voc, parts=(0.4, 0.3, 0.3))
    with pytest.raises(UserError, match=r"Annotations: cannot list this folder: .*such as VOCdevkit/VOC2007"):
        read_voc(voc.parent)
