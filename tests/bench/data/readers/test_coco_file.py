"""Each kind of damage to an annotation file becomes one line with the file, the id and what to do."""

import pytest

from bench.data.coco import coco_folder
from models.errors import UserError


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
    "text id": (annotation(image_id="11"), r"annotation 6: 'image_id' is '11', not a whole number"),
    "no file name": (lambda c: c["images"][0].pop("file_name"), r"image 11: 'file_name' is missing"),
    "no width": (lambda c: c["images"][0].pop("width"), r"image 11: 'width' is missing"),
    "no size": (lambda c: c["images"][0].update(width=0), r"image 11: width x height is 0 x 15"),
    "no categories": (lambda c: c.pop("categories"), r"the list 'categories' is missing"),
    "no annotations": (lambda c: c.pop("annotations"), r"the list 'annotations' is missing"),
    "no images": (lambda c: c.update(images=[], annotations=[]), r"there are no images in it"),
    "gone": (lambda c: c["images"][0].update(file_name="x.png"), r"image 11: the image .*x\.png is missing"),
    "no folder": (
        lambda c: c["images"][0].update(file_name="no/x.png"),
        r"image 11: cannot list the folder .*no",
    ),
    "extra category": (
        lambda c: c["categories"].append({"id": 9, "name": "lamp"}),
        r"categories \['lamp'\] are not in .*instances_train\.json .*choose classes",
    ),
    "fewer categories": (
        lambda c: c.update(categories=c["categories"][1:], annotations=[]),
        r"there is no category 'chair' \(known: person\)",
    ),
}


@pytest.mark.parametrize(("change", "message"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_one_line(coco_dir, change, message):
    coco_dir.edit("val", change)
    with pytest.raises(UserError, match=message) as caught:
        coco_folder(coco_dir.path)
    assert "instances_val.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.fix


def test_damage_to_classes_that_are_not_read_does_not_matter(coco_dir):
    coco_dir.edit("val", annotation(bbox=[15, 3, 800, 9]))
    assert coco_folder(coco_dir.path, classes=("person",)).val.examples[0].labels.tolist() == [1]


def test_broken_json_names_line_and_column(coco_dir):
    coco_dir.file("test").write_text('{"images": [],\n "annotations": [}')
    with pytest.raises(UserError, match=r"instances_test\.json: broken JSON at line 2, column 18"):
        coco_folder(coco_dir.path)


def test_json_of_another_kind(coco_dir):
    coco_dir.file("test").write_text("[1, 2]")
    with pytest.raises(UserError, match="the list 'images' is missing"):
        coco_folder(coco_dir.path)
    coco_dir.file("test").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"instances_test\.json: cannot read it"):
        coco_folder(coco_dir.path)
