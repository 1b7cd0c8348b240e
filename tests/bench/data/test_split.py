"""Splits: hashes that see every change, images that are shared by nobody, and a test split nobody tunes
on."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bench.accuracy.coco import ground_truth
from bench.accuracy.matching import match
from bench.data.images import Arrays
from bench.data.split import Dataset, Example, Split, tunable
from models.detector import Detections
from models.errors import UserError

NOTHING = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))


def example(key: int, boxes=((1, 2, 5, 9), (0, 0, 3, 3)), labels=(2, 1), crowd=(False, False)) -> Example:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    areas = (array[:, 2] - array[:, 0]) * (array[:, 3] - array[:, 1])
    return Example(key, 12, 10, array, np.array(labels, np.int64), np.array(crowd, bool), areas)


def split(role="val", examples=None, first=0, classes=("a", "b")) -> Split:
    examples = examples or (example(4), example(5, (), (), ()))
    images = [np.full((10, 12, 3), first + i, np.uint8) for i in range(len(examples))]
    return Split(role, classes, tuple(examples), Arrays(images))


def dataset(**replaced) -> Dataset:
    splits = {role: split(role, first=10 * k) for k, role in enumerate(("train", "val", "test"))} | replaced
    return Dataset("toy", ("a", "b"), **splits)


def test_hash_is_the_same_for_the_same_content():
    assert split().hash == split().hash
    assert len(split().hash) == 64


@pytest.mark.parametrize(
    "other",
    [
        split(examples=(example(3), example(5, (), (), ()))),
        split(examples=(example(4, labels=(1, 1)), example(5, (), (), ()))),
        split(examples=(example(4, ((1, 2, 5, 9.5), (0, 0, 3, 3))), example(5, (), (), ()))),
        split(examples=(example(4, crowd=(True, False)), example(5, (), (), ()))),
        split(examples=(example(5, (), (), ()), example(4))),
        split(first=1),
    ],
    ids=["id", "label", "box", "crowd", "order", "image"],
)
def test_hash_changes_with_content(other):
    assert other.hash != split().hash


def test_a_box_cannot_move_from_one_image_to_the_next_unseen():
    one, two = example(1, ((0, 0, 1, 1),), (1,), (False,)), example(2, (), (), ())
    moved = (dataclasses.replace(two, id=1), dataclasses.replace(one, id=2))
    assert split(examples=(one, two)).hash != split(examples=moved).hash


def test_images_and_boxes_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        split().image(0)[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        split().examples[0].boxes[0] = 1


def test_image_of_another_size_is_refused():
    bad = Split("val", ("a", "b"), (example(4),), Arrays([np.zeros((12, 10, 3), np.uint8)]))
    with pytest.raises(UserError, match="10 x 12 px, but its labels are for 12 x 10"):
        bad.image(0)


def test_tunable_refuses_test_only():
    train, val = split("train"), split("val")
    assert tunable(train) is train
    assert tunable(val) is val
    with pytest.raises(UserError, match="never see the test split"):
        tunable(split("test"))


def test_empty_split():
    with pytest.raises(UserError, match="the train split is empty"):
        Split("train", ("a",), (), Arrays([]))


def test_one_id_twice():
    with pytest.raises(UserError, match="image id 4 appears twice in the val split"):
        split(examples=(example(4), example(4)))


def test_an_image_in_two_splits_is_found_by_its_bytes():
    shared = Split("test", ("a", "b"), (example(98), example(99)), Arrays([_plain(50), _plain(1)]))
    with pytest.raises(UserError, match=r"train and test share 1 image: id 5 in train .* is id 99 in test"):
        dataset(test=shared)


def _plain(value: int) -> np.ndarray:
    return np.full((10, 12, 3), value, np.uint8)


def test_the_same_ids_in_two_splits_are_fine_when_the_images_differ():
    assert [e.id for e in dataset().train.examples] == [e.id for e in dataset().test.examples]


def test_classes_must_agree():
    with pytest.raises(UserError, match=r"val split has classes \['b', 'a'\]"):
        dataset(val=split("val", first=10, classes=("b", "a")))


def test_coco_ground_truth_carries_the_difficulty_where_it_is_known():
    known = dataclasses.replace(example(4), difficulty={"clutter": 0.25, "count": 2.0})
    plain = {"width": 12, "height": 10}
    images = split(examples=(known, example(5))).coco()["images"]
    assert images == [{"id": 4, **plain, "difficulty": {"clutter": 0.25, "count": 2.0}}, {"id": 5, **plain}]


def test_coco_ground_truth_scores_itself_perfectly():
    truth = COCO()
    truth.dataset = split().coco()
    truth.createIndex()
    assert [c["name"] for c in truth.loadCats([1, 2])] == ["a", "b"]
    assert sorted(truth.anns) == [1, 2]
    assert truth.anns[1]["bbox"] == [1, 2, 4, 7]
    found = truth.loadRes([{**a, "score": 1.0} for a in split().coco()["annotations"]])
    evaluation = COCOeval(truth, found, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


def test_the_coco_dictionary_is_made_once_and_judging_leaves_it_alone():
    one = split()
    before = copy.deepcopy(one.coco())
    match(ground_truth(one.coco()), [example.id for example in one.examples], [NOTHING] * len(one))
    assert one.coco() is one.coco()
    assert one.coco() == before
