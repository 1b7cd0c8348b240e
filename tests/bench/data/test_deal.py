"""Images dealt to splits: shares kept exactly, what belongs together kept together, the same from the same seed."""

import hashlib
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.data.deal import Dealing, dealt, group_of, plan, quotas, shares
from bench.data.found import labelled
from bench.data.options import Options
from bench.data.spec import load
from bench.data.split import ROLES
from models.errors import UserError
from tests.support.layouts import LAYOUTS

SHARES = st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.98, 0.01, 0.01), (1 / 3, 1 / 3, 1 / 3), (0.9, 0.1)])


def image(name: str, group: str | None = None):
    return labelled(Path(name), name, (8, 8), [], {}, group)


@given(st.integers(0, 5000), SHARES)
def test_quotas_are_whole_numbers_near_the_shares(count, parts):
    found = quotas(count, parts)
    assume(count >= len(parts))
    assert sum(found) == count
    assert min(found) >= 1
    for number, part in zip(found, parts, strict=True):
        exact = Fraction(part).limit_denominator(1000) * count
        assert abs(number - exact) < 1 or number == 1 or min(found) == 1


@pytest.mark.parametrize(
    ("count", "parts", "expected"),
    [
        (10, (0.8, 0.1, 0.1), [8, 1, 1]),
        (1000, (0.8, 0.1, 0.1), [800, 100, 100]),
        (3, (0.8, 0.1, 0.1), [1, 1, 1]),
        (4, (0.8, 0.1, 0.1), [2, 1, 1]),
        (11, (0.5, 0.25, 0.25), [5, 3, 3]),
        (7, (0.9, 0.1), [6, 1]),
    ],
)
def test_quotas(count, parts, expected):
    assert quotas(count, parts) == expected


@given(st.integers(3, 300), SHARES, st.integers(0, 5))
def test_single_images_are_dealt_exactly(count, parts, seed):
    found = dealt(range(count), [str(number) for number in range(count)], parts, seed, "")
    assert list(map(len, found)) == quotas(count, parts)
    assert sorted(number for part in found for number in part) == list(range(count))
    assert all(part == sorted(part) for part in found)


@given(st.lists(st.integers(0, 8), min_size=3, max_size=80), SHARES, st.integers(0, 3))
def test_groups_are_never_divided_and_no_split_is_empty(groups, parts, seed):
    names = list(map(str, groups))
    assume(len(set(names)) >= len(parts))
    found = dealt(range(len(names)), names, parts, seed, "")
    assert all(found)
    owners = defaultdict(set)
    for part, items in enumerate(found):
        for item in items:
            owners[names[item]].add(part)
    assert all(len(parts_of) == 1 for parts_of in owners.values())
    assert sorted(item for items in found for item in items) == list(range(len(names)))


@given(st.permutations(range(30)), st.integers(0, 3))
def test_the_order_of_the_images_does_not_matter(order, seed):
    names = [f"group {number % 11}" for number in range(30)]
    found = dealt(range(30), names, (0.5, 0.25, 0.25), seed, "")
    again = dealt(order, [names[number] for number in order], (0.5, 0.25, 0.25), seed, "")
    assert [sorted(part) for part in again] == found


def test_another_seed_deals_otherwise():
    names = [str(number) for number in range(100)]
    deals = [dealt(range(100), names, (0.8, 0.1, 0.1), seed, "")[2] for seed in (0, 0, 1)]
    assert deals[0] == deals[1] != deals[2]


def test_fewer_groups_than_splits():
    with pytest.raises(UserError, match="5 images in 2 groups cannot be dealt to 3 splits"):
        dealt(range(5), ["a", "b", "a", "b", "a"], (0.8, 0.1, 0.1), 0, "--split")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("80/10/10", (0.8, 0.1, 0.1)), ("0.8,0.1,0.1", (0.8, 0.1, 0.1)), ("90/10", (0.9, 0.1)), ("0.5/0.25/0.25", None)],
)
def test_shares(text, expected):
    assert shares(text) == pytest.approx(expected or (0.5, 0.25, 0.25))


@pytest.mark.parametrize("text", ["", "100", "a,b,c", "0.8,0.1,0.2", "100/0/0", "nan,0.5,0.5", "25/25/25/25", "-1/2"])
def test_bad_shares(text):
    with pytest.raises(UserError, match=rf"--split {text}: .*such as 80/10/10"):
        shares(text)


def test_groups():
    assert group_of(image("a/b_1.png"), "hash", "image") == "hash"
    assert group_of(image("a/b_1.png", "film"), "hash", "image") == "film"
    assert group_of(image("a/b_1.png"), "hash", "folder") == "a"
    assert group_of(image("b_1.png"), "hash", "folder") == ""
    assert group_of(image("a/b_1.png"), "hash", r"/(\w)_") == "b"
    assert group_of(image("a/b_1.png"), "hash", r"\d") == "1"
    with pytest.raises(UserError, match=r"'x' is not in the name 'a/b_1\.png'"):
        group_of(image("a/b_1.png"), "hash", "x")
    with pytest.raises(UserError, match=r"'\(' is no regular expression"):
        plan({None: [image("a")]}, Options(split="80/10/10", split_by="("))


@pytest.mark.parametrize(
    ("there", "options", "message"),
    [
        ("", Options(), "its 2 images are not divided into train, val and test .*--split 80/10/10 deals"),
        ("train", Options(), "there is train .2 images., but no val and no test"),
        ("train test", Options(), "but no val .*--split 90/10 divides train into train and val, and what is test here"),
        ("train val", Options(), "but no test .*--split 90/10 divides train .* what is val here becomes test"),
        ("train val test", Options(split="90/10"), "two shares divide train where val or test is there beside it"),
        ("", Options(split="90/10"), "here is one undivided set"),
        ("train val test", Options(split_by="folder"), "'split_by' needs 'split'"),
        ("train val test", Options(split_seed=0), "'split_seed' needs 'split'"),
    ],
)
def test_what_cannot_be_dealt(there, options, message):
    parts = {role or None: [image("a"), image("b")] for role in there.split() or [None]}
    with pytest.raises(UserError, match=message):
        plan(parts, options)


@pytest.mark.parametrize("held", ["val", "test"])
def test_two_shares_divide_train_and_what_is_held_out_becomes_test(held):
    parts = {"train": [image(str(i)) for i in range(10)], held: [image(f"held {i}") for i in range(3)]}
    hashes = {one.path: one.name for part in parts.values() for one in part}
    found = plan(parts, Options(split="90/10")).parts(parts, hashes)
    assert [len(found[role]) for role in ROLES] == [9, 1, 3]
    assert found["test"] == parts[held]


def test_splits_that_are_there_stay():
    parts = {role: [image(role)] for role in ROLES}
    dealing = plan(parts, Options())
    assert dealing.said is None
    assert dealing.parts(parts, {}) == parts
    assert Dealing((0.8, 0.1, 0.1), "folder", 3).said == {"shares": [0.8, 0.1, 0.1], "by": "folder", "seed": 3}


def test_copies_stay_together(tmp_path):
    LAYOUTS["labelimg-yolo"].write(tmp_path)
    content = (tmp_path / "0.png").read_bytes()
    copy = hashlib.sha256(content).hexdigest()
    for stem in ("1", "2", "6"):
        (tmp_path / f"{stem}.png").write_bytes(content)
    for seed in range(5):
        data = load(str(tmp_path), split="50/25/25", split_seed=seed)
        assert [len(split) for split in data.splits] == [6, 3, 3]
        assert sorted(split.image_hashes.count(copy) for split in data.splits) == [0, 0, 4]


def test_by_folder_and_by_expression(tmp_path):
    LAYOUTS["yolo-folders-without-paths"].write(tmp_path)
    by_folder = load(str(tmp_path), split="50/25/25", split_by="folder")
    assert [len(split) for split in by_folder.splits] == [6, 3, 3]
    same = load(str(tmp_path), split="50/25/25", split_by="^[a-z]+")
    assert [split.hash for split in same.splits] == [split.hash for split in by_folder.splits]
    other = load(str(tmp_path), split="50/25/25")
    assert np.array_equal([len(split) for split in other.splits], [6, 3, 3])
    assert other.train.hash != by_folder.train.hash
