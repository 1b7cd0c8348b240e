"""What is shared by the converters: clipping, dealing by hash, and writing so that neither source nor a half-written
result is ever harmed or taken for whole."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.convert import write as writing
from bench.data.convert.converted import Box, Converted, Labelled, inside
from bench.data.convert.reading import role_of, shares
from bench.data.convert.write import check_free, write
from bench.data.split import ROLES
from models.errors import UserError
from tests.support.reread import draw, reread

OBJECT = Box("person", (1, 2, 3, 4))


def made(folder: Path, boxes: tuple[Box, ...] = (OBJECT,)) -> Converted:
    splits = {}
    for role in ROLES:
        path = folder / f"{role}.png"
        draw(path, 8, 8)
        splits[role] = [Labelled(path, f"{role}.png", 8, 8, boxes)]
    return Converted(("person",), splits, Counter({"boxes left out: car": 1200, "nothing": 0}))


def test_summary(tmp_path):
    assert made(tmp_path, (OBJECT, OBJECT, Box("person", (0, 0, 1, 1), ignore=True))).summary() == [
        "train: 1 images, 2 boxes of 1 of 1 classes, 1 ignore regions",
        "val: 1 images, 2 boxes of 1 of 1 classes, 1 ignore regions",
        "test: 1 images, 2 boxes of 1 of 1 classes, 1 ignore regions",
        "1,200 boxes left out: car",
    ]


def test_images_are_links_or_copies(tmp_path):
    found, source = made(tmp_path / "in"), tmp_path / "in" / "train.png"
    write(found, tmp_path / "linked")
    write(found, tmp_path / "copied", copy=True)
    linked, copied = (tmp_path / name / "images" / "train.png" for name in ("linked", "copied"))
    assert linked.samefile(source)
    assert not copied.samefile(source)
    assert copied.read_bytes() == source.read_bytes()
    assert reread(tmp_path / "linked") == reread(tmp_path / "copied")


def test_where_links_are_impossible_images_are_copied(tmp_path, monkeypatch):
    def impossible(*_):
        raise OSError("another file system")

    monkeypatch.setattr(writing.os, "link", impossible)
    write(made(tmp_path / "in"), tmp_path / "out")
    assert (tmp_path / "out" / "images" / "val.png").read_bytes() == (tmp_path / "in" / "val.png").read_bytes()


@pytest.mark.parametrize("copy", [False, True])
def test_again_gives_the_same_files_and_leaves_the_source_alone(tmp_path, copy):
    found, out = made(tmp_path / "in"), tmp_path / "out"
    source = [(path, path.read_bytes()) for path in sorted((tmp_path / "in").iterdir())]

    def state():
        return {path.relative_to(out): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}

    write(found, out)
    before = state()
    (out / "own.txt").write_text("mine")
    write(found, out, copy)
    assert state() == before | {Path("own.txt"): b"mine"}
    assert all(path.read_bytes() == content for path, content in source)


def test_ids_are_shared_by_no_two_splits(tmp_path):
    write(made(tmp_path / "in", (OBJECT, OBJECT)), tmp_path / "out")
    contents = [json.loads((tmp_path / "out" / f"instances_{role}.json").read_text()) for role in ROLES]
    assert [image["id"] for content in contents for image in content["images"]] == [1, 2, 3]
    assert [box["id"] for content in contents for box in content["annotations"]] == [1, 2, 3, 4, 5, 6]


def test_what_is_interrupted_has_no_annotations(tmp_path, monkeypatch):
    found, out = made(tmp_path / "in"), tmp_path / "out"
    write(found, out)
    (tmp_path / "in" / "test.png").rename(tmp_path / "in" / "moved.png")
    (out / "images" / "test.png").unlink()
    with pytest.raises(OSError, match=r"test\.png"):
        write(found, out)
    assert not list(out.glob("*.json"))


def test_refused_before_anything_is_written(tmp_path):
    found, out = made(tmp_path / "in"), tmp_path / "out"
    splits = dict(found.splits)
    for changed, message in (
        (splits | {"test": []}, "there would be no images in test"),
        (splits | {"test": splits["train"]}, r"train\.png: this image is in train and in test"),
        (splits | {"val": splits["val"] * 2}, r"val\.png: this image is in val and in val"),
        (made(tmp_path / "empty", ()).splits, "there is no object in any training image"),
    ):
        with pytest.raises(UserError, match=message):
            write(Converted(("person",), changed), out)
    assert not out.exists()


def test_a_folder_that_is_not_empty(tmp_path):
    check_free(tmp_path / "new", force=False)
    check_free(tmp_path, force=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"the folder is not empty \(.*--force"):
        check_free(tmp_path, force=False)
    check_free(tmp_path, force=True)
    with pytest.raises(UserError, match="this is not a folder"):
        check_free(tmp_path / "file", force=True)


@given(st.tuples(*[st.floats(-50, 100)] * 4))
def test_inside(corners):
    notes = Counter()
    found = inside(corners, 40, 30, notes)
    x1, x2 = np.clip([corners[0], corners[2]], 0, 40)
    y1, y2 = np.clip([corners[1], corners[3]], 0, 30)
    if found is None:
        assert min(x2 - x1, y2 - y1) < 1e-3
        assert notes == {"boxes left out: no area inside the image": 1}
    else:
        assert found == pytest.approx((x1, y1, x2 - x1, y2 - y1), abs=1.1e-3)
        assert np.float32(found[0] + found[2]) > np.float32(found[0])
        over = max(-corners[0], -corners[1], corners[2] - 40, corners[3] - 30)
        assert bool(notes) == (over > 5e-4) or over == pytest.approx(5e-4)


@given(st.floats(0.05, 0.9), st.text(max_size=20))
def test_a_bigger_train_split_keeps_what_it_has(share, name):
    if role_of(name, (share, 0.05, 0.95 - share)) == "train":
        assert role_of(name, (share + 0.05, 0.05, 0.9 - share)) == "train"


def test_shares_are_kept():
    roles = Counter(role_of(f"{number}.jpg", (0.8, 0.1, 0.1)) for number in range(4000))
    assert [roles[role] / 4000 for role in ROLES] == pytest.approx([0.8, 0.1, 0.1], abs=0.03)


@pytest.mark.parametrize("text", ["0.8,0.2", "a,b,c", "0.8,0.1,0.2", "1,0,0", "nan,0.5,0.5", "80,10,10"])
def test_bad_shares(text):
    with pytest.raises(UserError, match=f"--split {text}: .*such as 0.8,0.1,0.1"):
        shares(text)
