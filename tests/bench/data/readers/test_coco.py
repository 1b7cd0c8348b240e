"""The COCO reader gives back what was written, finds its files, and caps the training split."""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.data.dataset import dataset, settled
from bench.data.options import Options
from bench.data.readers.coco import coco
from bench.data.spec import load
from bench.data.split import ROLES
from models.errors import UserError


def opened(path, **options):
    return load(f"coco:{path}", **options)


def test_reads_images_boxes_and_classes_in_order(coco_dir):
    data = opened(coco_dir.path)
    assert data.name == "parts"
    assert data.classes == ("person", "chair")
    assert [e.id for e in data.val.examples] == [11, 12]
    first, empty = data.val.examples
    assert first.boxes.tolist() == [[1, 2, 9, 8], [4.5, 3, 14.5, 12]]
    assert first.labels.tolist() == [1, 2]
    assert first.areas.tolist() == [12.5, 12.5]
    assert empty.boxes.shape == (0, 4)
    assert data.val.image(0).shape == (15, 20, 3)


def test_classes_choose_and_order_the_labels(coco_dir):
    data = opened(coco_dir.path, classes=("chair",))
    assert data.classes == ("chair",)
    assert data.test.examples[0].boxes.tolist() == [[4.5, 3, 14.5, 12]]
    assert data.test.examples[0].labels.tolist() == [1]
    assert len(data.test) == 2
    both = opened(coco_dir.path, classes=("chair", "person"))
    assert both.test.examples[0].labels.tolist() == [2, 1]


def test_hash_does_not_depend_on_the_order_in_the_file(coco_dir):
    before = opened(coco_dir.path).test.hash
    coco_dir.edit("test", lambda content: [entries.reverse() for entries in content.values()])
    assert opened(coco_dir.path).test.hash == before


def test_annotations_folder_and_separate_images(coco_dir, tmp_path):
    (coco_dir.path / "annotations").mkdir()
    for role in ROLES:
        coco_dir.file(role).rename(coco_dir.path / "annotations" / f"instances_{role}.json")
    assert len(opened(coco_dir.path).train) == 2
    folders = dict.fromkeys(ROLES, coco_dir.path / "images")
    for role, key in zip(ROLES, (1, 11, 21), strict=True):
        folders[role] = tmp_path / role
        folders[role].mkdir()
        for k in (key, key + 1):
            shutil.move(coco_dir.path / "images" / f"{k}.png", folders[role])
    files = {role: coco_dir.path / "annotations" / f"instances_{role}.json" for role in ROLES}
    found = coco({role: [folder] for role, folder in folders.items()}, files, Options())
    assert dataset(settled(found, Options())).test.image(1).shape == (15, 20, 3)


def test_images_in_subfolders(coco_dir):
    (coco_dir.path / "images" / "deep").mkdir()
    shutil.move(coco_dir.path / "images" / "1.png", coco_dir.path / "images" / "deep" / "1.png")
    coco_dir.edit("train", lambda content: content["images"][0].update(file_name="deep/1.png"))
    assert opened(coco_dir.path).train.image(0).shape == (15, 20, 3)


def test_small_overhang_is_clipped_and_missing_area_computed(coco_dir):
    def change(content):
        content["annotations"][0].update(bbox=[-0.6, 10, 5, 5.9])
        del content["annotations"][0]["area"]

    coco_dir.edit("train", change)
    example = opened(coco_dir.path).train.examples[0]
    assert example.boxes[0] == pytest.approx([0, 10, 4.4, 15])
    assert example.areas[0] == pytest.approx(4.4 * 5)


def test_crowds_keep_their_box_and_degenerate_ones_go(coco_dir):
    def change(content):
        segmentation = {"counts": [3, 4], "size": [15, 20]}
        content["annotations"][0].update(iscrowd=1, segmentation=segmentation)
        content["annotations"][1].update(iscrowd=1, bbox=[3, 3, 0, 4])

    coco_dir.edit("train", change)
    example = opened(coco_dir.path).train.examples[0]
    assert example.crowd.tolist() == [True]
    assert example.boxes.tolist() == [[1, 2, 9, 8]]


def test_unknown_class_gets_a_suggestion(coco_dir):
    with pytest.raises(UserError, match=r"no class 'Persn' \(did you mean 'person'\? known: person, chair"):
        opened(coco_dir.path, classes=("Persn",))


@pytest.mark.parametrize("classes", [(), ("person", "person")])
def test_classes_are_named_once(coco_dir, classes):
    with pytest.raises(UserError, match="name at least one class, each once"):
        opened(coco_dir.path, classes=classes)


def test_missing_files_say_what_to_do(coco_dir, tmp_path):
    coco_dir.file("val").unlink()
    with pytest.raises(UserError, match=r"there is train \(2 images\) and test \(2 images\), but no val .*--split 80"):
        opened(coco_dir.path)
    with pytest.raises(UserError, match=r"--data coco:.*nowhere: there is no such folder"):
        opened(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"no COCO annotation file .*instances_train\.json"):
        opened(coco_dir.path / "images")


def test_the_same_file_under_two_names_is_found(coco_dir):
    shutil.copy(coco_dir.path / "images" / "2.png", coco_dir.path / "images" / "22.png")
    with pytest.raises(UserError, match=r"train and test share 1 image: id 2 .*2\.png.* is id 22 .*22\.png"):
        opened(coco_dir.path)


@pytest.fixture
def many(coco_dir):
    """A train split of 12 persons, 6 of them with a chair, and 5 empty images."""

    def change(content):
        content["images"] = [coco_dir.draw(100 + i) for i in range(17)]
        box = {"bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}
        marks = [(100 + i, 1) for i in range(12)] + [(100 + i, 7) for i in range(6)]
        content["annotations"] = [
            {"id": k, "image_id": image, "category_id": label, **box} for k, (image, label) in enumerate(marks, 1)
        ]

    coco_dir.edit("train", change)
    return coco_dir


@pytest.mark.parametrize(("cap", "expected"), [(1, (1, 1, 1)), (4, (4, 4, 4)), (8, (8, 6, 5)), (50, (12, 6, 5))])
def test_cap_limits_every_class_and_the_negatives_of_train(many, cap, expected):
    data = opened(many.path, max_images_per_class=cap)
    kept = data.train.examples
    counts = [sum(label in e.labels for e in kept) for label in (1, 2)] + [sum(not len(e.labels) for e in kept)]
    assert tuple(counts) == expected
    assert [e.id for e in kept] == sorted(e.id for e in kept)
    assert len(data.val) == len(data.test) == 2
    assert data.train.hash == opened(many.path, max_images_per_class=cap).train.hash


def test_cap_below_one(many):
    with pytest.raises(UserError, match="max_images_per_class is 0"):
        opened(many.path, max_images_per_class=0)


rectangles = st.tuples(*[st.floats(0, 40, width=32)] * 2, *[st.floats(1, 24, width=32)] * 2)
marks = st.lists(st.tuples(rectangles, st.sampled_from((1, 7)), st.booleans()), max_size=4)


@settings(max_examples=15, deadline=None)
@given(st.lists(marks, min_size=1, max_size=3))
def test_what_is_written_is_read(contents):
    images = [{"id": i, "file_name": f"{i}.png", "width": 64, "height": 64} for i in range(len(contents))]
    categories = [{"id": 1, "name": "person"}, {"id": 7, "name": "chair"}]
    written = [(i, *mark) for i, image_marks in enumerate(contents) for mark in image_marks]
    annotations = [
        {
            "id": k,
            "image_id": i,
            "category_id": label,
            "bbox": list(box),
            "area": box[2] * box[3],
            "iscrowd": int(crowd),
        }
        for k, (i, box, label, crowd) in enumerate(written, 1)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        for number, role in enumerate(ROLES):
            (path / role).mkdir()
            for image in images:
                shade = 3 * image["id"] + number
                Image.new("RGB", (64, 64), (shade, 0, 0)).save(path / role / image["file_name"])
            content = {"images": images, "annotations": annotations, "categories": categories}
            (path / role / "_annotations.coco.json").write_text(json.dumps(content))
        data = opened(path, classes=("person", "chair"))
    for example, image_marks in zip(data.test.examples, contents, strict=True):
        boxes = np.array([box for box, _, _ in image_marks], np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        assert example.boxes == pytest.approx(boxes, abs=1e-5)
        assert example.labels.tolist() == [{1: 1, 7: 2}[label] for _, label, _ in image_marks]
        assert example.crowd.tolist() == [crowd for _, _, crowd in image_marks]
    assert [a["iscrowd"] for a in data.test.coco()["annotations"]] == [a["iscrowd"] for a in annotations]


def test_real_photographs(shared):
    folder = shared / "data" / "coco-person"
    content = json.loads((folder / "instances_test.json").read_text())
    persons = [a for a in content["annotations"] if a["category_id"] == 1]
    data = opened(folder, classes=("person",), max_images_per_class=50)
    assert len(data.test) == 600
    assert sum(len(e.labels) for e in data.test.examples) == len(persons) == 2205
    assert sum(int(e.crowd.sum()) for e in data.test.examples) == sum(a["iscrowd"] for a in persons)
    assert len(data.train) == 100
    assert data.test.image(0).shape == (data.test.examples[0].height, data.test.examples[0].width, 3)
    again = {a["image_id"]: 0.0 for a in persons}
    for a in data.test.coco()["annotations"]:
        again[a["image_id"]] += a["area"]
    for a in persons:
        again[a["image_id"]] -= a["area"]
    assert max(map(abs, again.values())) < 0.1
