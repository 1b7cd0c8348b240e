"""The images to look at are of all splits, show as many classes as they can, and one of them is empty."""

import pytest

from bench.data.split import ROLES
from bench.report.sample import sample
from models.errors import UserError
from tests.support.boxed import boxed

NAMES = tuple("abcdef")


def image(*labels: int):
    return 30, 20, [(label, 1, 1, 9, 9) for label in labels]


@pytest.fixture(scope="module")
def data():
    """Class 5 is in one image of 40, class 6 in one of val."""
    train = [image(1)] * 40 + [image(2), image(3, 4), image(5)] + [image()] * 5
    return boxed([train, [image(1)] * 10 + [image(6)], [image(1), image(2)]], NAMES)


def labels(data, picks):
    splits = dict(zip(ROLES, data.splits, strict=True))
    return [set(splits[role].examples[i].labels.tolist()) for role, i in picks]


@pytest.mark.parametrize("seed", range(8))
def test_all_splits_all_classes_and_one_empty_image(data, seed):
    picks = sample(data, 8, seed)
    assert len(set(picks)) == 8
    assert {role for role, _ in picks} == set(ROLES)
    found = labels(data, picks)
    assert set().union(*found) == set(range(1, 7))
    assert sum(not one for one in found) == 1


@pytest.mark.parametrize("seed", range(3))
def test_without_room_the_empty_image_goes_first(data, seed):
    picks = sample(data, 3, seed)
    assert [role for role, _ in picks] == list(ROLES)
    assert all(labels(data, picks))


def test_the_seed_decides(data):
    assert sample(data, 8, 1) == sample(data, 8, 1)
    assert len({tuple(sample(data, 8, seed)) for seed in range(5)}) > 1


def test_all_where_there_are_no_more(data):
    assert len(sample(data, 1000, 0)) == sum(map(len, data.splits))


def test_empty_images_fill_up_once_the_others_are_chosen():
    data = boxed([[image(1), *[image()] * 9], [image(1)], [image(2)]], NAMES)
    found = labels(data, sample(data, 6, 0))
    assert sorted(map(len, found)) == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("images", [3, 6])
def test_a_split_without_any_box_is_there(images):
    data = boxed([[image(1)] * 9, [image()] * 4, [image(2)] * 4], NAMES)
    assert {role for role, _ in sample(data, images, 0)} == set(ROLES)


def test_one_image_at_least(data):
    with pytest.raises(UserError, match="ask for at least 1"):
        sample(data, 0, 0)


@pytest.mark.parametrize("images", [1, 2])
def test_boxes_go_before_splits_where_there_is_no_room_for_all(images):
    data = boxed([[image()] * 9, [image(1)] * 4, [image(2)] * 4], NAMES)
    assert all(labels(data, sample(data, images, 0)))
