"""Every layout that the docs speak of: recognised by its folder, read to the same boxes, and the same once written."""

import os
from collections import Counter
from pathlib import Path

import pytest

from bench.data.dataset import settled
from bench.data.options import Options
from bench.data.spec import find, load, recognised
from bench.data.write import write
from models.errors import UserError
from tests.support.layouts import CHAIR, EMPTY, HEIGHT, LAYOUTS, NAMES, PERSON, STEMS, WIDTH, planted
from tests.support.reread import reread

EVERY = pytest.mark.parametrize("name", LAYOUTS)


def made(name: str, folder: Path) -> tuple[str, Options]:
    """The folder of a layout, and the options it needs."""
    LAYOUTS[name].write(folder)
    return str(folder), Options(split=LAYOUTS[name].split)


@EVERY
def test_a_folder_is_recognised(name, tmp_path):
    made(name, tmp_path / "data")
    assert recognised(tmp_path / "data") == LAYOUTS[name].reader


@EVERY
def test_the_boxes_are_those_that_were_planted(name, tmp_path):
    spec, options = made(name, tmp_path / "data")
    data = load(spec, split=options.split)
    persons_only = LAYOUTS[name].reader == "mot"
    assert set(data.classes) == ({"person"} if persons_only else set(NAMES))
    seen = Counter()
    for split in data.splits:
        for example in split.examples:
            assert (example.width, example.height) == (WIDTH, HEIGHT)
            names = [data.classes[label - 1] for label in example.labels]
            assert [(one, tuple(box)) for one, box in zip(names, example.boxes.tolist(), strict=True)] == [
                (one, pytest.approx(corners, abs=1e-3))
                for one, corners in map({n: (n, c) for n, c in (PERSON, CHAIR)}.get, names)
            ]
            seen.update(names or ["nothing"])
    stems = [stem for some in STEMS.values() for stem in some]
    wanted = Counter(one for stem in stems for one, _ in planted(stem)) + Counter({"nothing": 1})
    assert seen == ({k: v for k, v in wanted.items() if k != "chair"} if persons_only else wanted)
    if options.split is None:
        assert [len(split) for split in data.splits] == [len(some) for some in STEMS.values()]
        assert [i for i, e in enumerate(data.train.examples) if not len(e.labels)] == [STEMS["train"].index(EMPTY)]
    else:
        assert [len(split) for split in data.splits] == [6, 3, 3]


@EVERY
def test_written_as_coco_it_has_the_same_hashes(name, tmp_path):
    spec, options = made(name, tmp_path / "data")
    data = load(spec, split=options.split)
    write(settled(find(spec, options), options), tmp_path / "out")
    again = load(f"coco:{tmp_path / 'out'}")
    assert again.classes == data.classes
    assert [split.hash for split in again.splits] == [split.hash for split in data.splits]
    assert {role: len(images) for role, images in reread(tmp_path / "out").items()} == {
        split.role: len(split) for split in data.splits
    }


@EVERY
def test_links_to_folders_are_followed(name, tmp_path):
    spec, options = made(name, tmp_path / "data")
    if name == "ultralytics-lists-of-folders":
        pytest.skip("names a folder by its whole path")
    hashes = [split.hash for split in load(spec, split=options.split).splits]
    store = tmp_path / "store"
    for number, path in enumerate(sorted((tmp_path / "data").rglob("*"), key=lambda path: -len(path.parts))):
        if path.is_dir() and not path.is_symlink():
            store.mkdir(exist_ok=True)
            path.rename(store / str(number))
            path.symlink_to(store / str(number))
    assert recognised(tmp_path / "data") == LAYOUTS[name].reader
    assert [split.hash for split in load(spec, split=options.split).splits] == hashes


@EVERY
def test_there_is_nothing_to_complain_of(name, tmp_path):
    spec, options = made(name, tmp_path / "data")
    expected = {
        "boxes left out (car)",
        "classes left out, as no box is of them (parts)",
        "polygons and oriented boxes made upright boxes around them",
        "poses, of which only the boxes are read",
    }
    assert set(load(spec, split=options.split).reading.notes) <= expected


@EVERY
def test_what_is_not_divided_says_so(name, tmp_path):
    spec, options = made(name, tmp_path / "data")
    if options.split:
        with pytest.raises(UserError, match=r"--split 80/10/10 deals all images anew"):
            load(spec)


@EVERY
def test_another_deal_takes_all_images(name, tmp_path):
    spec, _ = made(name, tmp_path / "data")
    if LAYOUTS[name].reader == "mot":
        lengths = sorted(len(split) for split in load(spec, split="50/25/25").splits)
        assert lengths == [3, 3, 6]
    else:
        assert [len(split) for split in load(spec, split="50/25/25", split_seed=3).splits] == [6, 3, 3]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize(
    "name", ["labelimg-yolo", "labelimg-voc", "roboflow-yolo", "roboflow-voc", "label-studio-coco"]
)
def test_pipes_are_not_waited_for(name, tmp_path):
    spec, options = made(name, tmp_path / "data")
    before = [split.hash for split in load(spec, split=options.split).splits]
    for folder in {path.parent for path in (tmp_path / "data").rglob("*")}:
        for suffix in ("txt", "xml", "json"):
            os.mkfifo(folder / f"pipe.{suffix}")
    assert [split.hash for split in load(spec, split=options.split).splits] == before


def test_two_layouts_in_one_folder(tmp_path):
    for name in ("roboflow-yolo", "voc2007"):
        LAYOUTS[name].write(tmp_path)
    with pytest.raises(
        UserError, match=r"YOLO .data\.yaml.; Pascal VOC .*say which one is meant: --data yolo:.* or --data voc"
    ):
        load(str(tmp_path))
    assert load(f"yolo:{tmp_path}").test.hash != load(f"voc:{tmp_path}").test.hash


def test_an_image_in_two_splits(tmp_path):
    LAYOUTS["ultralytics-detect"].write(tmp_path)
    same = "train: images/train\nval: images/train\ntest: images/test\nnames: [person, chair]\n"
    (tmp_path / "parts.yaml").write_text(same)
    with pytest.raises(UserError, match="train and val share 6 images"):
        load(str(tmp_path))
    assert [len(split) for split in load(str(tmp_path), split="80/10/10").splits] == [7, 1, 1]


def test_coco_as_it_is_published_has_no_test_split(tmp_path):
    """Its train is divided, and its val becomes test."""
    LAYOUTS["coco-itself"].write(tmp_path)
    whole = load(str(tmp_path))
    (tmp_path / "annotations" / "instances_test2017.json").unlink()
    with pytest.raises(UserError, match=r"but no test .*--split 90/10 divides train .* what is val here becomes test"):
        load(str(tmp_path))
    found = load(str(tmp_path), split="50/50")
    assert set(found.test.image_hashes) == set(whole.val.image_hashes)
    assert {*found.train.image_hashes, *found.val.image_hashes} == set(whole.train.image_hashes)
    assert len(found.train) == len(found.val)


def test_two_shares_divide_nothing_where_all_splits_are_there(tmp_path):
    LAYOUTS["mot17"].write(tmp_path)
    with pytest.raises(UserError, match=r"here is train .* and val .* and test"):
        load(str(tmp_path), split="90/10")
