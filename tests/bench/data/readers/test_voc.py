"""Pascal VOC: pixels from 1, difficult objects, lists of images, and XML that cannot hurt."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import VOCDetection

from bench.data.dataset import settled
from bench.data.found import Found
from bench.data.options import Options
from bench.data.readers.voc import parse, read, sees
from bench.data.spec import load
from bench.data.write import write
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


def whole(voc: Path, split: str | None = None) -> Found:
    """What is found, none of it wrong."""
    result = read(str(voc), Options(split=split))
    result.faults.check("")
    return result


def images(result: Found) -> dict:
    return {role: [image.name for image in part] for role, part in result.parts.items()}


def main(voc: Path, name: str) -> Path:
    return voc / "ImageSets" / "Main" / f"{name}.txt"


def test_written_and_read_again(voc, tmp_path):
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    corner = entry("chair", (1, 1, 1, 1))
    every = entry("chair", (1, 1, WIDTH, HEIGHT), "<difficult>1</difficult>")
    label(voc, "a", PERSON.replace("</object>", f"{part}<difficult>0</difficult></object>"), corner, every)
    label(voc, "c", entry("boat", (1.5, 2.25, 10.5, 8)))
    write(settled(whole(voc), Options()), tmp_path / "out")
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


def test_boxes_are_those_that_torchvision_reads(voc, tmp_path):
    rng = np.random.default_rng(0)
    for key in "abc":
        corners = [(*low, *(low + rng.integers(0, 8, 2))) for low in rng.integers(1, 20, (5, 2))]
        label(voc, key, *(entry("person", corner, "<difficult>0</difficult>") for corner in corners))
    (tmp_path / "VOCdevkit").mkdir()
    voc.rename(tmp_path / "VOCdevkit" / "VOC2007")
    data = load(f"voc:{tmp_path}/VOCdevkit/VOC2007")
    for split in data.splits:
        ((_, theirs),) = VOCDetection(str(tmp_path), "2007", image_set=split.role, download=False)
        boxes = [
            [float(one["bndbox"][side]) for side in ("xmin", "ymin", "xmax", "ymax")]
            for one in theirs["annotation"]["object"]
        ]
        np.testing.assert_array_equal(split.examples[0].boxes, np.array(boxes) - [1, 1, 0, 0])


def test_classes_are_alphabetical_or_as_given(voc):
    label(voc, "c", entry("chair", (1, 1, 5, 5)))
    assert whole(voc).classes == ("chair", "person")
    assert load(f"voc:{voc}", classes=("person", "chair")).classes == ("person", "chair")
    with pytest.raises(UserError, match=r"there is no class 'chairs' \(did you mean 'chair'"):
        load(f"voc:{voc}", classes=("person", "chairs"))


def test_boxes_over_the_edge(voc):
    label(voc, "a", entry("person", (0, 0, 45, 10)), entry("person", (20, 20, 19, 25)), PERSON)
    found = whole(voc)
    assert found.parts["train"][0].corners.tolist() == [[0, 0, 40, 10], [10, 5, 20, 25]]
    assert found.notes["boxes clipped to the image"] == 1
    assert found.notes["boxes left out (no area inside the image)"] == 1


@pytest.mark.parametrize(
    "size", [None, "<width>0</width><height>0</height>", "<width></width><height/>", "<depth>3</depth>"]
)
def test_a_size_that_says_nothing_is_taken_from_the_image(voc, size):
    label(voc, "a", PERSON, size=size)
    image = whole(voc).parts["train"][0]
    assert (image.width, image.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("text", "ignored"),
    [("", False), ("0", False), (" false ", False), ("Unspecified", False), ("1", True), ("True", True), (None, False)],
)
def test_difficult(voc, text, ignored):
    label(voc, "a", entry("person", (11, 6, 20, 25), "" if text is None else f"<difficult>{text}</difficult>"))
    found = whole(voc)
    assert found.parts["train"][0].crowd.tolist() == [ignored]
    assert found.notes["boxes made ignore regions (difficult)"] == ignored


def test_dealing_takes_what_is_listed_or_else_everything(voc):
    for key in map(str, range(6)):
        draw(voc / "JPEGImages" / f"{key}.jpg", 8, 8)
        label(voc, key, size=None)
    main(voc, "trainval").write_text("a\nb\n3\n")
    listed = whole(voc, "40/30/30")
    assert images(listed) == {None: ["c.jpg", "a.jpg", "b.jpg", "3.jpg"]}
    assert whole(voc).notes["label files left out (in no split)"] == 6
    for path in main(voc, "train").parent.iterdir():
        path.unlink()
    everything = ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg", "a.jpg", "b.jpg", "c.jpg"]
    assert images(whole(voc)) == images(whole(voc, "40/30/30")) == {None: everything}
    with pytest.raises(UserError, match=r"its 9 images are not divided .*--split 80/10/10"):
        load(f"voc:{voc}")


def test_the_lists_that_are_there_make_the_splits(voc):
    main(voc, "test").unlink()
    main(voc, "aeroplane_train").write_text("a -1\nb  1\n")
    assert images(whole(voc)) == {"train": ["a.jpg"], "val": ["b.jpg"]}
    main(voc, "train").unlink()
    main(voc, "val").unlink()
    main(voc, "trainval").write_text('"a"\nb.jpg\n')
    assert images(whole(voc)) == {None: ["a.jpg", "b.jpg"]}
    main(voc, "test").write_text("c\n")
    assert images(whole(voc)) == {"train": ["a.jpg", "b.jpg"], "test": ["c.jpg"]}
    main(voc, "valid").write_text("b\n")
    assert list(whole(voc).parts) == ["val", "test"]


def test_names_with_folders(voc):
    draw(voc / "JPEGImages" / "deep" / "d.jpg", 8, 8)
    (voc / "Annotations" / "deep").mkdir()
    label(voc, "deep/d", size=None)
    main(voc, "train").write_text("a\ndeep\\d\n")
    assert images(whole(voc))["train"] == ["a.jpg", "deep/d.jpg"]


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
        whole(voc)


def test_lists_images_and_labels_that_do_not_match(voc):
    listed = main(voc, "val")
    listed.write_text("b\ngone\n")
    with pytest.raises(UserError, match=r"val\.txt:2: there is no label file gone\.xml"):
        whole(voc)
    listed.write_text("b\n\nb\n")
    with pytest.raises(UserError, match=r"val\.txt:3: b is in .*val\.txt:1 already"):
        whole(voc)
    listed.write_text("b\n")
    draw(voc / "JPEGImages" / "b.png", 8, 8)
    with pytest.raises(UserError, match=r"b\.png: b\.jpg is here as well"):
        whole(voc)
    for suffix in ("png", "jpg"):
        (voc / "JPEGImages" / f"b.{suffix}").unlink()
    with pytest.raises(UserError, match=r"b\.xml: there is no image b in JPEGImages"):
        whole(voc)
    draw(voc / "JPEGImages" / "b.jpg", WIDTH, HEIGHT)
    draw(voc / "JPEGImages" / "d.jpg", WIDTH, HEIGHT)
    assert whole(voc).notes["images left out (no label file)"] == 1


def test_another_folder(voc, tmp_path):
    with pytest.raises(UserError, match=r"there are no Pascal VOC labels in it .*such as VOCdevkit/VOC2007"):
        whole(tmp_path)
    with pytest.raises(UserError, match="there is no such folder"):
        whole(tmp_path / "gone")
    (voc / "JPEGImages").rename(voc / "photographs")
    assert len(whole(voc).parts["train"]) == 1
    draw(voc / "previews" / "a.jpg", 8, 8)
    with pytest.raises(UserError, match=r"several folders may hold the images: photographs, previews .*JPEGImages"):
        whole(voc)
    for name in ("photographs", "previews"):
        for path in (voc / name).iterdir():
            path.unlink()
    with pytest.raises(UserError, match="there are no images beside the labels"):
        whole(voc)


def test_what_is_seen(voc, tmp_path):
    assert sees(voc) == "Pascal VOC (Annotations/a.xml)"
    assert sees(tmp_path) is None
    (tmp_path / "annotations.xml").write_text(
        '<?xml version="1.0"?>\n<annotations><version>1.1</version></annotations>'
    )
    assert sees(tmp_path) is None
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "x.xml").write_text("<annotation verified='yes'/>", encoding="utf-16")
    assert sees(flat) == "Pascal VOC (x.xml)"


def test_turned_images_have_labels_as_they_are_shown(voc):
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(voc / "JPEGImages" / "a.jpg", HEIGHT, WIDTH, exif=exif)
    assert load(str(voc)).train.image(0).shape == (HEIGHT, WIDTH, 3)
    draw(voc / "JPEGImages" / "a.jpg", WIDTH, HEIGHT, exif=exif)
    with pytest.raises(UserError, match=r"a\.xml:2: the labels are for 40 x 30 px, .*a\.jpg has 30 x 40 upright"):
        whole(voc)
