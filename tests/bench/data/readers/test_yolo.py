"""YOLO labels: boxes and polygons come back as they were, names and splits are found, mistakes have file and line."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.data.dataset import settled
from bench.data.faults import DataFaults
from bench.data.found import Found
from bench.data.options import Options
from bench.data.readers.yolo import parse, read, sees
from bench.data.readers.yolo_names import described
from bench.data.spec import load
from bench.data.split import ROLES
from bench.data.write import write
from models.errors import UserError
from tests.support.reread import draw, reread

WIDTH, HEIGHT = 40, 30
ALL = Options(split="50/25/25")


def make(folder: Path, labels: str = "0 0.5 0.5 0.25 0.5\n1 0.5 0.5 0.25 0.5\n") -> Path:
    for role in ROLES:
        draw(folder / "images" / role / "a.jpg", WIDTH, HEIGHT)
        (folder / "labels" / role).mkdir(parents=True)
        (folder / "labels" / role / "a.txt").write_text(labels)
    (folder / "data.yaml").write_text("nc: 2\nnames: [person, chair]\n")
    return folder


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    return make(tmp_path / "yolo")


def found(yolo: Path, options: Options = Options()) -> Found:  # noqa: B008 - frozen
    return read(str(yolo), options)


def whole(yolo: Path, options: Options = Options()) -> Found:  # noqa: B008 - frozen
    """What is found, none of it wrong."""
    result = found(yolo, options)
    result.faults.check("")
    return result


def images(result: Found) -> dict:
    return {role: [image.name for image in part] for role, part in result.parts.items()}


def train(yolo: Path, text: str) -> Path:
    path = yolo / "labels" / "train" / "a.txt"
    path.write_text(text)
    return path


def test_written_and_read_again(yolo, tmp_path):
    train(yolo, "0 0.5 0.5 0.25 0.5\n\n1 0.1 0.2 0.5 0.3 0.25 0.9\n")
    draw(yolo / "images" / "val" / "deep" / "b.png", 8, 8)
    result = whole(yolo)
    assert +result.notes == {
        "images without a label file, taken as without objects": 1,
        "polygons and oriented boxes made upright boxes around them": 1,
    }
    write(settled(result, Options()), tmp_path / "out")
    one = ("person", (15, 7.5, 10, 15), False)
    two = [one, ("chair", (15, 7.5, 10, 15), False)]
    assert reread(tmp_path / "out") == {
        "train": {"train/a.jpg": [one, ("chair", (4, 6, 16, 21), False)]},
        "val": {"val/a.jpg": two, "val/deep/b.png": []},
        "test": {"test/a.jpg": two},
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
        write(settled(whole(yolo), Options()), yolo.parent / "out")
        back = [
            (("person", "chair").index(name), (x + w / 2) / WIDTH, (y + h / 2) / HEIGHT, w / WIDTH, h / HEIGHT)
            for name, (x, y, w, h), _ in reread(yolo.parent / "out")["train"]["train/a.jpg"]
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
    result = whole(yolo)
    assert result.parts["train"][0].corners.tolist() == [[0, 0, 10, 30], [0, 0, 40, 30]]
    assert result.notes["boxes clipped to the image"] == 1
    assert result.notes["boxes left out (no area inside the image)"] == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.5", "4 columns"),
        ("0 0.5 0.5 0.5 0.5 0.9", "6 columns, the last a confidence: this is a prediction and no label"),
        ("0 0.5 0.5 0.5 0.5 0.9 0.9 0.9", r"8 columns .*poses need kpt_shape in data\.yaml"),
        ("person 0.5 0.5 0.5 0.5", "could not convert .*person"),
        ("0.5 0.5 0.5 0.5 0.5", r"the class is 0\.5, not a whole number"),
        ("2 0.5 0.5 0.5 0.5", r"class 2 is unknown \(there are names for 0 to 1\)"),
        ("-1 0.5 0.5 0.5 0.5", "class -1 is unknown"),
        ("1e300 0.5 0.5 0.5 0.5", "class 1e300 is unknown"),
        ("0 0.5 0.5 -0.5 0.5", "a side is negative"),
        ("0 320 240 64 48", r"320 is no share of an image \(divide pixels"),
        ("0 0.5 0.5 nan 0.5", "not every number is finite"),
    ],
)
def test_bad_lines(yolo, line, message):
    train(yolo, f"0 0.5 0.5 0.5 0.5\n{line}\n")
    with pytest.raises(UserError, match=rf"train/a\.txt:2: {message}"):
        whole(yolo)


def test_all_bad_lines_are_said_at_once(yolo):
    train(yolo, "0 1\n0 0.5 0.5 0.5 0.5\n7 0.5 0.5 0.5 0.5\n")
    (yolo / "images" / "val" / "a.jpg").write_text("no image")
    with pytest.raises(DataFaults) as caught:
        whole(yolo)
    first, second, third = map(str, caught.value.faults)
    assert "a.txt:1: 2 columns" in first
    assert "a.txt:3: class 7 is unknown" in second
    assert "val/a.jpg: cannot read the image" in third


@pytest.mark.parametrize(
    ("shape", "line", "box"),
    [
        ([4, 2], "0 0.25 0.5 0.2 0.4 0.2 0.4 0.3 0.4 0.3 0.6 0.2 0.6", [6, 9, 14, 21]),
        ([2, 3], "0 0.25 0.5 0.2 0.4 0.2 0.4 2 9 9 0", [6, 9, 14, 21]),
        ([4, 2], "0 0.25 0.5 0.2 0.4", [6, 9, 14, 21]),
    ],
)
def test_the_box_of_a_pose_is_its_first_four_numbers(yolo, shape, line, box):
    (yolo / "data.yaml").write_text(f"kpt_shape: {shape}\nnames: [person, chair]\n")
    for role in ROLES:
        (yolo / "labels" / role / "a.txt").write_text(line)
    result = whole(yolo)
    assert result.parts["test"][0].corners[0] == pytest.approx(box)
    poses = result.notes["poses, of which only the boxes are read"]
    assert poses == (0 if len(line.split()) == 5 else 3)


def test_a_pose_has_the_columns_that_its_shape_says(yolo):
    (yolo / "data.yaml").write_text("kpt_shape: [4, 2]\nnames: [person, chair]\n")
    for line in ("0 0.1 0.1 0.5 0.1 0.5 0.5", "0 0.5 0.5 0.5 0.5 0.9"):
        train(yolo, line)
        with pytest.raises(UserError, match=r"columns \(write class cx cy w h and 8 numbers of points, as kpt_shape"):
            whole(yolo)
    for shape in ("4", "[0, 2]", "[4, 4]", "[four, 2]", "[4]"):
        (yolo / "data.yaml").write_text(f"kpt_shape: {shape}\nnames: [person, chair]\n")
        with pytest.raises(UserError, match="kpt_shape is "):
            whole(yolo)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("data.yaml", "names:\n  1: chair\n  0: person\n"),
        ("data.yml", "train: images/train\nnames:\n- person\n- chair\n"),
        ("coco8.yaml", "# other names: none\nnames: [person, chair]\n"),
        ("classes.txt", "person\nchair\n\n"),
        ("classes.txt", "\ufeffperson\r\nchair"),
        ("obj.names", "person\nchair\n"),
        ("labels/classes.txt", "person\nchair\n"),
        ("images/classes.txt", "person\nchair\n"),
        ("train/labels/classes.txt", "person\nchair\n"),
        ("valid/_darknet.labels", "person\nchair\n"),
    ],
)
def test_class_names(tmp_path, file, text):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert described(tmp_path).names == ("person", "chair")


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
        ("names: [a]\ntrain: 3", r"train is 3, no path \(write train: images/train\)"),
    ],
)
def test_bad_class_names(tmp_path, text, message):
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"data\.yaml: {message}") as caught:
        described(tmp_path)
    assert "\n" not in str(caught.value)


def test_several_descriptions_and_none(tmp_path):
    with pytest.raises(UserError, match="the class names are missing"):
        described(tmp_path)
    for name in ("a.yaml", "b.yml"):
        (tmp_path / name).write_text("names: [person]")
    with pytest.raises(UserError, match=r"several files may describe it: a\.yaml, b\.yml \(call the right one data"):
        described(tmp_path)
    for role, text in (("train", "person"), ("val", "chair")):
        (tmp_path / "inner" / role).mkdir(parents=True)
        (tmp_path / "inner" / role / "classes.txt").write_text(text)
    with pytest.raises(UserError, match=r"val/classes\.txt: the class names are not those of .*train/classes\.txt"):
        described(tmp_path / "inner")


def test_missing_parts(yolo):
    (yolo / "labels" / "val" / "gone.txt").write_text("")
    with pytest.raises(UserError, match=r"val/gone\.txt: the image of these labels is missing"):
        whole(yolo)
    (yolo / "labels" / "val" / "gone.txt").unlink()
    (yolo / "images" / "test").rename(yolo / "images" / "other")
    (yolo / "labels" / "test").rename(yolo / "labels" / "other")
    assert images(whole(yolo)) == {"train": ["train/a.jpg"], "val": ["val/a.jpg"]}
    assert whole(yolo).notes["images left out (in no split)"] == 1
    with pytest.raises(UserError, match=r"but no test \(--split 80/10/10"):
        load(f"yolo:{yolo}")
    (yolo / "labels").rename(yolo / "lost")
    with pytest.raises(UserError, match=r"the 1 images of train have no labels \(put a \.txt per image into "):
        whole(yolo)
    (yolo / "images").rename(yolo / "empty")
    with pytest.raises(UserError, match=r"3 images, no labels"):
        whole(yolo)
    for path in (yolo / "empty").rglob("*.jpg"):
        path.unlink()
    with pytest.raises(UserError, match="there are no images in it"):
        whole(yolo)
    with pytest.raises(UserError, match="there is no such folder"):
        whole(yolo / "gone")


def test_a_split_without_labels_is_no_split_of_empty_images(yolo):
    (yolo / "labels" / "test" / "a.txt").unlink()
    (yolo / "labels" / "test").rmdir()
    with pytest.raises(UserError, match=r"the 1 images of test have no labels \(.*labels/test, or take"):
        whole(yolo)
    result = whole(yolo, Options(split="90/10"))
    assert images(result) == {"train": ["train/a.jpg"], "val": ["val/a.jpg"]}
    assert result.notes["images left out (there are no labels of test)"] == 1


def test_images_in_no_split_are_dealt_where_all_are(yolo):
    for number in range(4):
        draw(yolo / "images" / f"{number}.jpg", 8, 8)
    (yolo / "labels" / "0.txt").write_text("")
    assert whole(yolo).notes["images left out (in no split)"] == 4
    result = whole(yolo, ALL)
    assert images(result) == {None: ["train/a.jpg", "val/a.jpg", "test/a.jpg", "0.jpg"]}
    assert result.notes["images left out (in no split)"] == 3


def test_paths_of_the_description(yolo):
    (yolo / "images" / "val").rename(yolo / "images" / "holdout")
    (yolo / "labels" / "val").rename(yolo / "labels" / "holdout")
    names = "names: [person, chair]\n"
    (yolo / "data.yaml").write_text(f"{names}train: images\\train\nval: {yolo}/images/holdout\n")
    assert images(whole(yolo)) == {"train": ["train/a.jpg"], "val": ["holdout/a.jpg"]}
    (yolo / "data.yaml").write_text(f"{names}train: images/train\nval: images/holdout/a.jpg\ntest: gone\n")
    result = whole(yolo)
    assert list(result.parts) == ["train", "val", "test"]
    assert result.notes["paths of splits that are not there (gone)"] == 1
    (yolo / "data.yaml").write_text(f"{names}train: /elsewhere/train\nval: ../../{yolo.name}2\n")
    result = whole(yolo)
    assert list(result.parts) == ["train", "test"]
    assert result.layout == "YOLO, images/SPLIT and labels/SPLIT"
    assert sum(count for note, count in result.notes.items() if note.startswith("paths of splits")) == 2


def test_no_path_leaves_the_folder(yolo, tmp_path):
    draw(tmp_path / "other" / "images" / "b.jpg", 8, 8)
    for path in ("../other/images", f"{tmp_path}/other/images", "images/../../other/images"):
        (yolo / "data.yaml").write_text(f"names: [person, chair]\ntrain: {path}\n")
        assert "b.jpg" not in str(images(whole(yolo)))


def test_a_list_names_what_is_missing(yolo):
    (yolo / "train.txt").write_text("./images/train/a.jpg\n \n/home/me/images/train/gone.jpg\nimages/train/a.jpg\n")
    (yolo / "data.yaml").write_text("names: [person, chair]\ntrain: train.txt\n")
    assert images(found(yolo)) == {"train": ["train/a.jpg"]}
    with pytest.raises(UserError, match=r"train\.txt:3: the image /home/me/images/train/gone\.jpg is missing"):
        whole(yolo)


def test_paths_are_whole_from_where_the_folder_is_linked_to(yolo, tmp_path):
    (tmp_path / "link").symlink_to(yolo)
    (yolo / "data.yaml").write_text(f"names: [person, chair]\ntrain: {yolo}/images/train\nval: val.txt\n")
    (yolo / "val.txt").write_text(f"{yolo}/images/val/a.jpg\n\0\n")
    result = found(tmp_path / "link")
    assert images(result) == {"train": ["train/a.jpg"], "val": ["val/a.jpg"]}
    assert len(result.faults.found) == 1


def test_images_of_one_name_in_two_places_are_told_apart(tmp_path):
    for place in ("one/images", "images/one"):
        draw(tmp_path / place / "a.jpg", 8, 8)
    (tmp_path / "one" / "labels").mkdir()
    (tmp_path / "one" / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5")
    (tmp_path / "data.yaml").write_text("names: [person]\ntrain: [one/images, images/one]\n")
    assert images(whole(tmp_path)) == {"train": ["one/images/a.jpg", "images/one/a.jpg"]}


def test_a_circle_of_links_is_gone_through_once(yolo):
    for kind in ("images", "labels"):
        (yolo / kind / "train" / "again").symlink_to(yolo / kind)
    assert images(whole(yolo))["val"] == ["val/a.jpg"]
    assert len(images(whole(yolo))["train"]) < 10


def test_a_link_to_no_image_is_a_fault(yolo):
    (yolo / "images" / "train" / "b.jpg").symlink_to(yolo / "gone.jpg")
    with pytest.raises(UserError, match=r"train/b\.jpg: cannot read the image: .*No such file"):
        whole(yolo)


@pytest.mark.parametrize(("orientation", "size"), [(0, (40, 30)), (3, (40, 30)), (6, (30, 40)), (256, (40, 30))])
def test_labels_are_for_the_image_as_it_is_shown(yolo, orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    draw(yolo / "images" / "train" / "a.jpg", WIDTH, HEIGHT, exif=exif)
    image = whole(yolo).parts["train"][0]
    assert (image.width, image.height) == size
    assert image.corners[0] == pytest.approx([size[0] * 0.375, size[1] * 0.25, size[0] * 0.625, size[1] * 0.75])
    assert load(str(yolo)).train.image(0).shape == (*size[::-1], 3)


def test_files_beside_labels_are_none(yolo):
    for name in ("classes.txt", "train.txt"):
        (yolo / "labels" / name).write_text("person\n")
    whole(yolo)
    flat = yolo.parent / "flat"
    draw(flat / "a.png", 8, 8)
    (flat / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (flat / "classes.txt").write_text("person\n")
    (flat / "readme.txt").write_text("0 of these are mine\n")
    whole(flat)
    (flat / "b.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    with pytest.raises(UserError, match=r"b\.txt: the image of these labels is missing"):
        whole(flat)


def test_labels_that_are_called_like_splits(yolo):
    (yolo / "labels" / "val" / "test.txt").write_text("0 0.5 0.5 0.5 0.5")
    with pytest.raises(UserError, match=r"val/test\.txt: the image of these labels is missing"):
        whole(yolo)


def test_images_that_are_called_like_splits(tmp_path):
    for name in ("train", "test_1", "val_002"):
        draw(tmp_path / f"{name}.png", 8, 8)
        (tmp_path / f"{name}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "classes.txt").write_text("person\n")
    assert images(whole(tmp_path)) == {None: ["test_1.png", "train.png", "val_002.png"]}
    (tmp_path / "train_3.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    with pytest.raises(UserError, match=r"train_3\.txt: the image of these labels is missing"):
        whole(tmp_path)


def test_what_is_seen(yolo, tmp_path):
    assert sees(yolo) == "YOLO (data.yaml)"
    (yolo / "data.yaml").unlink()
    assert sees(yolo) == "YOLO (labels/test/a.txt)"
    (yolo / "latin.yaml").write_bytes(b"names: [caf\xe9]")
    assert sees(yolo) == "YOLO (labels/test/a.txt)"
    (yolo / "parts.yaml").write_text("names: [person]\ntrain: images/train\n")
    assert sees(yolo) == "YOLO (parts.yaml)"
    (yolo / "parts.yaml").unlink()
    (yolo / "obj.names").write_text("person")
    assert sees(yolo) == "YOLO (obj.names)"
    assert sees(tmp_path) is None
    (tmp_path / "notes.txt").write_text("1 2 3\n")
    (tmp_path / "config.yaml").write_text("names: [person]\n")
    assert sees(tmp_path) is None
