"""Each kind of damage to an annotation file becomes one line with the file, the id and what to do."""

import json
import time
from collections import Counter

import pytest
from pycocotools.coco import COCO

from bench.data.faults import DataFaults, Faults
from bench.data.readers.coco_file import CocoFile
from bench.data.spec import load
from bench.data.split import ROLES
from models.errors import UserError


def opened(path, **options):
    return load(f"coco:{path}", **options)


def annotation(**changes):
    return lambda content: content["annotations"][1].update(changes)


DAMAGE = {
    "box leaves": (annotation(bbox=[15, 3, 8, 9]), r"annotation 6 on image 11: the box .* by 3\.0 px .*clip"),
    "box outside": (annotation(bbox=[30, 3, 8, 9]), r"annotation 6 on image 11: .* no area .*bbox is \[x, y"),
    "box flat": (annotation(bbox=[3, 3, 0, 9]), r"annotation 6 on image 11: the box .* has no area"),
    "box negative": (annotation(bbox=[9, 9, -3, 4]), r"annotation 6 on image 11: the box .* has no area"),
    "box short": (annotation(bbox=[1, 2, 3]), r"annotation 6 .*bbox is \[1, 2, 3\] \(give four numbers"),
    "box nan": (annotation(bbox=[1, 2, float("nan"), 4]), r"annotation 6 .*bbox is .*nan"),
    "area": (annotation(area=-4), r"annotation 6 .*the area is -4"),
    "annotation id twice": (annotation(id=5), r"annotation id 5 appears twice"),
    "image id twice": (lambda c: c["images"][1].update(id=11), r"image id 11 appears twice"),
    "category id twice": (lambda c: c["categories"][1].update(id=7), r"category id 7 appears twice"),
    "category name twice": (lambda c: c["categories"][1].update(name="chair"), "same name"),
    "unknown image": (annotation(image_id=77), r"annotation 6: there is no image 77"),
    "unknown category": (
        annotation(category_id=77),
        r"annotation 6: there is no category 77 .*1 person, 7 chair",
    ),
    "no bbox": (lambda c: c["annotations"][1].pop("bbox"), r"annotation 6 .*'bbox' is missing"),
    "no annotation id": (lambda c: c["annotations"][1].pop("id"), r"annotation number 2: 'id' is missing"),
    "odd id": (annotation(image_id=[11]), r"annotation 6: 'image_id' is \[11\], not a whole number"),
    "crowd": (annotation(iscrowd="some"), r"annotation 6 .*'iscrowd' is 'some', not 0 or 1"),
    "leaves": (lambda c: c["images"][0].update(file_name="../x.png"), r"image 11: .*'\.\./x\.png' leaves the folder"),
    "absolute": (lambda c: c["images"][0].update(file_name="/x.png"), r"image 11: .* leaves the folder of images"),
    "no file name": (lambda c: c["images"][0].pop("file_name"), r"image 11: 'file_name' is missing"),
    "no width": (lambda c: c["images"][0].pop("width"), r"image 11: 'width' is missing"),
    "no size": (lambda c: c["images"][0].update(width=0), r"image 11: width x height is 0 x 15"),
    "no categories": (lambda c: c.pop("categories"), r"the list 'categories' is missing"),
    "no annotations": (lambda c: c.pop("annotations"), r"the list 'annotations' is missing"),
    "no images": (lambda c: c.update(images=[], annotations=[]), r"there are no images in it"),
    "gone": (lambda c: c["images"][0].update(file_name="x.png"), r"image 11: the image x\.png is missing in .*images"),
    "no folder": (
        lambda c: c["images"][0].update(file_name="no/x.png"),
        r"image 11: the image no/x\.png is missing in",
    ),
}


@pytest.mark.parametrize(("change", "message"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_one_line(coco_dir, change, message):
    coco_dir.edit("val", change)
    with pytest.raises(UserError, match=message) as caught:
        opened(coco_dir.path)
    assert "instances_val.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.fix


def test_damage_to_classes_that_are_not_read_does_not_matter(coco_dir):
    coco_dir.edit("val", annotation(bbox=[15, 3, 800, 9]))
    assert opened(coco_dir.path, classes=("person",)).val.examples[0].labels.tolist() == [1]


def test_broken_json_names_line_and_column(coco_dir):
    coco_dir.file("test").write_text('{"images": [],\n "annotations": [}')
    with pytest.raises(UserError, match=r"instances_test\.json: broken JSON at line 2, column 18"):
        opened(coco_dir.path)


def test_json_of_another_kind(coco_dir):
    coco_dir.file("test").write_text("[1, 2]")
    with pytest.raises(UserError, match="the list 'images' is missing"):
        opened(coco_dir.path)
    coco_dir.file("test").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"instances_test\.json: not UTF-16 text"):
        opened(coco_dir.path)


def test_all_faults_are_said_at_once(coco_dir):
    coco_dir.edit("train", annotation(bbox=[30, 3, 8, 9]))
    coco_dir.edit("val", annotation(area=-4))
    coco_dir.edit("test", lambda content: content["images"][0].update(file_name="x.png"))
    with pytest.raises(DataFaults) as caught:
        opened(coco_dir.path)
    assert [fault.where.split("/")[-1].split(",")[0] for fault in caught.value.faults] == [
        "instances_train.json",
        "instances_val.json",
        "instances_test.json",
    ]


def test_categories_may_differ_between_files(coco_dir):
    coco_dir.edit("val", lambda c: c["categories"].append({"id": 9, "name": "lamp"}))
    coco_dir.edit("val", annotation(category_id=9))
    coco_dir.edit("test", lambda c: c.update(categories=c["categories"][1:], annotations=c["annotations"][:1]))
    data = opened(coco_dir.path)
    assert data.classes == ("person", "chair", "lamp")
    assert [split.examples[0].labels.tolist() for split in data.splits] == [[1, 2], [1, 3], [1]]


def test_a_root_that_no_annotation_uses_is_left_out(coco_dir):
    for role in ROLES:
        coco_dir.edit(role, lambda c: c["categories"].append({"id": 0, "name": "chair", "supercategory": "none"}))
    data = opened(coco_dir.path)
    assert data.classes == ("person", "chair")
    assert [count for what, count in data.reading.notes.items() if "'chair'" in what] == [3]


def test_classes_without_a_box_are_left_out_unless_asked_for(coco_dir):
    for role in ROLES:
        coco_dir.edit(role, lambda c: c["categories"].append({"id": 9, "name": "lamp"}))
    assert opened(coco_dir.path).classes == ("person", "chair")
    assert "classes left out, as no box is of them (lamp)" in opened(coco_dir.path).reading.notes
    assert opened(coco_dir.path, classes=("lamp", "person")).classes == ("lamp", "person")


@pytest.mark.parametrize("value", ["1", "true", True, 1.0])
def test_crowds_in_other_words(coco_dir, value):
    coco_dir.edit("test", annotation(iscrowd=value))
    assert opened(coco_dir.path).test.examples[0].crowd.tolist() == [False, True]


@pytest.mark.parametrize(
    ("area", "kept"),
    [(90.0, 90.0), (100, 100), (109, 109), (122, 90), (300, 90), (1, 90), (0, 90), (2.5, 2.5), (None, 90)],
)
def test_areas_that_cannot_be_are_replaced(coco_dir, area, kept):
    coco_dir.edit("test", annotation(area=area))  # of a box of 10 x 9 px
    data = opened(coco_dir.path)
    assert data.test.examples[0].areas.tolist() == [12.5, kept]
    replaced = area is not None and area != kept
    assert any("areas that no object" in what for what in data.reading.notes) == replaced


@pytest.mark.parametrize("key", [2**63, 2**64 - 1, 2**127 + 3, "7", "img-0007", 7.0])
def test_ids_of_any_kind(coco_dir, key):
    def change(content):
        content["images"][0]["id"] = key
        for entry in content["annotations"]:
            entry["image_id"] = key

    coco_dir.edit("test", change)
    data = opened(coco_dir.path)
    found = next(example for example in data.test.examples if len(example.labels))
    assert found.labels.tolist() == [1, 2]
    assert {example.id for example in data.test.examples} == ({5, 6} if key == "img-0007" else {22, int(key)})
    truth = COCO()
    truth.dataset = dict(data.test.coco())
    truth.createIndex()
    assert len(truth.getAnnIds(imgIds=[found.id])) == 2
    assert len(data.test.hash) == 64


def test_marks_and_other_unicode_encodings(coco_dir):
    before = opened(coco_dir.path).test.hash
    text = coco_dir.file("test").read_text()
    for encoding in ("utf-8-sig", "utf-16"):
        coco_dir.file("test").write_text(text, encoding=encoding)
        assert opened(coco_dir.path).test.hash == before


def test_backslashes_are_slashes_where_there_is_no_such_name(coco_dir):
    (coco_dir.path / "images" / "deep").mkdir()
    (coco_dir.path / "images" / "1.png").rename(coco_dir.path / "images" / "deep" / "1.png")
    coco_dir.edit("train", lambda content: content["images"][0].update(file_name="deep\\1.png"))
    data = opened(coco_dir.path)
    assert data.reading.notes == {"file names with backslashes, read as slashes": 1}
    assert data.reading.names["train"] == ["deep/1.png", "2.png"]


def test_the_time_grows_with_the_boxes_and_not_with_their_square(tmp_path):
    """Ten times the boxes take no more than some twenty times as long."""
    images = [{"id": i, "file_name": f"{i}.png", "width": 640, "height": 480} for i in range(1000)]
    seconds = []
    for count in (5_000, 50_000):
        rows = [
            {"id": k, "image_id": k % 1000, "category_id": 1, "bbox": [k % 600, k % 400, 20, 30.5], "area": 600.0}
            for k in range(count)
        ]
        path = tmp_path / f"{count}.json"
        path.write_text(json.dumps({"images": images, "annotations": rows, "categories": [{"id": 1, "name": "a"}]}))
        faults, notes, start = Faults(), Counter(), time.perf_counter()
        boxes = CocoFile(path, faults, notes).boxes(["a"])
        seconds.append(time.perf_counter() - start)
        assert (len(boxes.image), faults.found, boxes.corners[5].tolist()) == (count, [], [5, 5, 25, 35.5])
    assert seconds[1] < 25 * seconds[0]
