"""YOLO labels: boxes and polygons come back as they were, names are found, mistakes have a file and a line."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.data.convert.write import write
from bench.data.convert.yolo import class_names, parse, read_yolo
from bench.data.split import ROLES
from models.errors import UserError
from tests.support.reread import draw, reread

WIDTH, HEIGHT = 40, 30


def make(folder: Path, labels: str = "0 0.5 0.5 0.25 0.5\n") -> Path:
    for role in ROLES:
        draw(folder / "images" / role / "a.jpg", WIDTH, HEIGHT)
        (folder / "labels" / role).mkdir(parents=True)
        (folder / "labels" / role / "a.txt").write_text(labels)
    (folder / "data.yaml").write_text("nc: 2\nnames: [person, chair]\n")
    return folder


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    return make(tmp_path / "yolo")


def train(yolo: Path, text: str) -> Path:
    path = yolo / "labels" / "train" / "a.txt"
    path.write_text(text)
    return path


def test_written_and_read_again(yolo, tmp_path):
    train(yolo, "0 0.5 0.5 0.25 0.5\n\n1 0.1 0.2 0.5 0.3 0.25 0.9\n")
    draw(yolo / "images" / "val" / "deep" / "b.png", 8, 8)
    found = read_yolo(yolo)
    assert found.notes == {"images without a label file: taken as without objects": 1}
    write(found, tmp_path / "out")
    one = [("person", (15, 7.5, 10, 15), False)]
    assert reread(tmp_path / "out") == {
        "train": {"train/a.jpg": [*one, ("chair", (4, 6, 16, 21), False)]},
        "val": {"val/a.jpg": one, "val/deep/b.png": []},
        "test": {"test/a.jpg": one},
    }


def boxes():
    """(class, cx, cy, w, h) inside the unit square, at least a twentieth wide and high."""
    side = st.floats(0.05, 1)
    return st.tuples(st.integers(0, 1), side, side, st.floats(0, 1), st.floats(0, 1)).map(
        lambda b: (b[0], b[1] / 2 + b[3] * (1 - b[1]), b[2] / 2 + b[4] * (1 - b[2]), b[1], b[2])
    )


@settings(max_examples=25)
@given(st.lists(boxes(), min_size=1, max_size=5))
def test_there_and_back_again(planted):
    with tempfile.TemporaryDirectory() as place:
        lines = "".join(f"{k} {cx:.9f} {cy:.9f} {w:.9f} {h:.9f}\n" for k, cx, cy, w, h in planted)
        yolo = make(Path(place) / "yolo", lines)
        write(read_yolo(yolo), yolo.parent / "out")
        found = reread(yolo.parent / "out")["train"]["train/a.jpg"]
        back = [
            (("person", "chair").index(name), (x + w / 2) / WIDTH, (y + h / 2) / HEIGHT, w / WIDTH, h / HEIGHT)
            for name, (x, y, w, h), _ in found
        ]
        assert len(back) == len(planted)
        for one, other in zip(back, planted, strict=True):
            assert one == pytest.approx(other, abs=1e-3 / HEIGHT)


@given(boxes())
def test_a_box_and_the_polygon_of_its_corners_are_the_same(box):
    kind, cx, cy, w, h = box
    x1, y1, x2, y2 = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
    polygon = parse(f"{kind} {x2!r} {y1!r} {x1!r} {y2!r} {x1!r} {y1!r} {x2!r} {y2!r}", "")
    assert polygon[0] == kind
    assert polygon[1] == pytest.approx(parse(f"{kind} {cx!r} {cy!r} {w!r} {h!r}", "")[1], abs=1e-9)


def test_boxes_over_the_edge_are_clipped_and_counted(yolo):
    train(yolo, "0 0.0 0.5 0.5 1.2\n0 1.4 0.5 0.2 0.2\n0 0.5 0.5 0 0.5\n0 0.5 0.5 1 1\n")
    found = read_yolo(yolo)
    assert [box.bbox for box in found.splits["train"][0].boxes] == [(0, 0, 10, 30), (0, 0, 40, 30)]
    assert found.notes["boxes clipped to the image"] == 1
    assert found.notes["boxes left out: no area inside the image"] == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.5", "4 columns"),
        ("0 0.5 0.5 0.5 0.5 0.9", "6 columns"),
        ("0 0.5 0.5 0.5 0.5 0.9 0.9 0.9", "8 columns"),
        ("person 0.5 0.5 0.5 0.5", "could not convert .*person"),
        ("0.5 0.5 0.5 0.5 0.5", r"the class is 0\.5, not a whole number"),
        ("2 0.5 0.5 0.5 0.5", r"class 2 is unknown \(there are names for 0 to 1\)"),
        ("-1 0.5 0.5 0.5 0.5", "class -1 is unknown"),
        ("0 0.5 0.5 -0.5 0.5", "a side is negative"),
        ("0 320 240 64 48", r"320 is no share of an image \(divide pixels"),
        ("0 0.5 0.5 nan 0.5", "not every number is finite"),
    ],
)
def test_bad_lines(yolo, line, message):
    train(yolo, f"0 0.5 0.5 0.5 0.5\n{line}\n")
    with pytest.raises(UserError, match=rf"train/a\.txt:2: {message}"):
        read_yolo(yolo)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("data.yaml", "names:\n  1: chair\n  0: person\n"),
        ("data.yml", "train: images/train\nnames:\n- person\n- chair\n"),
        ("classes.txt", "person\nchair\n\n"),
    ],
)
def test_class_names(tmp_path, file, text):
    (tmp_path / file).write_text(text)
    assert class_names(tmp_path) == ("person", "chair")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [person", r"cannot read it as YAML: .*line 1"),
        ("- person", "there is no list 'names'"),
        ("nc: 2", "there is no list 'names'"),
        ("names: {1: person, 2: chair}", r"names has the keys \[1, 2\]"),
        ("names: [yes, chair]", "the class name True is not text"),
        ("names: [a, a]", r"the class names are \['a', 'a'\]"),
        ("names: []", r"the class names are \[\]"),
        ("nc: 3\nnames: [a, b]", "nc is 3, there are 2 names"),
    ],
)
def test_bad_class_names(tmp_path, text, message):
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"data\.yaml: {message}"):
        class_names(tmp_path)


def test_missing_parts(yolo):
    (yolo / "labels" / "val" / "gone.txt").write_text("")
    with pytest.raises(UserError, match=r"val/gone\.txt: the image of these labels is missing"):
        read_yolo(yolo)
    (yolo / "images" / "train" / "a.jpg").write_text("no image")
    (yolo / "labels" / "val" / "gone.txt").unlink()
    with pytest.raises(UserError, match=r"train/a\.jpg: cannot read the size"):
        read_yolo(yolo)
    (yolo / "images" / "test").rename(yolo / "images" / "other")
    with pytest.raises(UserError, match=r"there is no folder images/test in it .*--split 0\.8,0\.1,0\.1"):
        read_yolo(yolo)
    (yolo / "data.yaml").unlink()
    with pytest.raises(UserError, match="the class names are missing"):
        read_yolo(yolo)


def test_an_image_to_be_turned_is_refused(yolo):
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(yolo / "images" / "train" / "a.jpg", WIDTH, HEIGHT, exif=exif)
    with pytest.raises(UserError, match=r"train/a\.jpg: EXIF says"):
        read_yolo(yolo)


def test_split_deals_all_images(yolo):
    for number in range(40):
        draw(yolo / "images" / f"{number}.jpg", 8, 8)
    found = read_yolo(yolo, parts=(0.5, 0.25, 0.25))
    assert sorted(map(len, found.splits.values()))[0] > 0
    assert sum(map(len, found.splits.values())) == 43
    (yolo / "labels" / "gone.txt").write_text("")
    with pytest.raises(UserError, match=r"labels/gone\.txt: the image of these labels is missing"):
        read_yolo(yolo, parts=(0.5, 0.25, 0.25))
