"""Written so that neither the source nor a half-written result is ever harmed or taken for whole."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.data import write as writing
from bench.data.dataset import Settled, settled
from bench.data.found import Box, Found, labelled
from bench.data.options import Options
from bench.data.split import ROLES
from bench.data.write import check_free, write
from models.errors import UserError
from tests.support.reread import draw, reread

OBJECT = Box("person", (1, 2, 4, 6))


def made(folder: Path, boxes: tuple[Box, ...] = (OBJECT,)) -> Settled:
    parts = {}
    for role in ROLES:
        path = folder / f"{role}.png"
        draw(path, 8, 8)
        parts[role] = [labelled(path, f"{role}.png", (8, 8), boxes, {"person": 1})]
    return settled(Found("made", "by hand", ("person",), parts), Options())


def test_images_are_links_or_copies(tmp_path):
    found, source = made(tmp_path / "in"), tmp_path / "in" / "train.png"
    write(found, tmp_path / "linked")
    write(found, tmp_path / "copied", copy=True)
    linked, copied = (tmp_path / name / "images" / "train.png" for name in ("linked", "copied"))
    assert linked.samefile(source)
    assert not copied.samefile(source)
    assert copied.read_bytes() == source.read_bytes()
    assert reread(tmp_path / "linked") == reread(tmp_path / "copied")
    assert reread(tmp_path / "linked")["val"] == {"val.png": [("person", (1, 2, 3, 4), False)]}


def test_where_links_are_impossible_images_are_copied(tmp_path, monkeypatch):
    def impossible(*_):
        raise OSError("another file system")

    monkeypatch.setattr(writing.os, "link", impossible)
    write(made(tmp_path / "in"), tmp_path / "out")
    assert (tmp_path / "out" / "images" / "val.png").read_bytes() == (tmp_path / "in" / "val.png").read_bytes()


def test_what_is_a_link_becomes_no_link_to_a_link(tmp_path):
    found = made(tmp_path / "in")
    (tmp_path / "in" / "val.png").rename(tmp_path / "store.png")
    (tmp_path / "in" / "val.png").symlink_to(tmp_path / "store.png")
    write(found, tmp_path / "out")
    assert not (tmp_path / "out" / "images" / "val.png").is_symlink()


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


def test_what_is_interrupted_has_no_annotations(tmp_path):
    found, out = made(tmp_path / "in"), tmp_path / "out"
    write(found, out)
    (tmp_path / "in" / "test.png").rename(tmp_path / "in" / "moved.png")
    (out / "images" / "test.png").unlink()
    with pytest.raises(OSError, match=r"test\.png"):
        write(found, out)
    assert not list(out.glob("*.json"))


def test_refused_before_anything_is_written(tmp_path):
    found, out = made(tmp_path / "in"), tmp_path / "out"
    parts = dict(found.parts)
    for changed, message in (
        (parts | {"test": []}, "there would be no images in test"),
        (parts | {"test": parts["train"]}, r"train\.png: an image of this name is in train and in test"),
        (parts | {"val": parts["val"] * 2}, r"val\.png: an image of this name is in val and in val"),
    ):
        with pytest.raises(UserError, match=message):
            write(replace(found, parts=changed), out)
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
