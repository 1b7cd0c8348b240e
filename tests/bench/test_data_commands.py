"""`bench data`: parsed, run, and told in a few lines; mistakes are UserErrors, which `bench` prints."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.data.spec import load
from bench.data.split import ROLES
from bench.data_commands import app
from models.errors import UserError
from tests.support.reread import draw, reread


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    for role in ROLES:
        draw(tmp_path / "in" / "images" / role / "a.jpg", 40, 30)
        (tmp_path / "in" / "labels" / role).mkdir(parents=True)
        (tmp_path / "in" / "labels" / role / "a.txt").write_text("0 0.5 0.5 0.25 1.5\n")
    (tmp_path / "in" / "classes.txt").write_text("person\n")
    return tmp_path / "in"


def call(*arguments: object) -> str:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    if done.exception:
        raise done.exception
    return done.output


@pytest.mark.parametrize("spec", [("yolo",), ()])
def test_converts_and_says_so(spec, yolo, tmp_path):
    said = call("convert", *spec, yolo, tmp_path / "out")
    assert said.splitlines()[1:] == [
        *(f"{role}: 1 image, 1 box of 1 class" for role in ROLES),
        "boxes clipped to the image: 3",
        f"use it: --data coco:{tmp_path / 'out'}",
    ]
    assert said.startswith("read as YOLO")
    name = next(iter(reread(tmp_path / "out")["test"]))
    assert reread(tmp_path / "out")["test"] == {name: [("person", (15, 0, 10, 30), False)]}


def test_what_is_converted_is_what_is_read(yolo, tmp_path):
    call("convert", yolo, tmp_path / "out", "--split", "40/30/30", "--split-seed", "3")
    direct = load(f"yolo:{yolo}", split="40/30/30", split_seed=3)
    assert [split.hash for split in load(str(tmp_path / "out")).splits] == [split.hash for split in direct.splits]


def test_writes_over_a_folder_only_with_force(yolo, tmp_path):
    call("convert", yolo, tmp_path / "out")
    with pytest.raises(UserError, match="--force"):
        call("convert", yolo, tmp_path / "out")
    assert "use it" in call("convert", yolo, tmp_path / "out", "--force", "--copy")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mot17", "gone", "out"), "--data mot:gone: there is no such folder"),
        (("mot17", ".", "out", "--val", "11,x"), "--val: '11,x' is no list of sequence numbers"),
        (("voc", "gone", "out"), "--data voc:gone: there is no such folder"),
        (("yolo", "in", "out", "--split", "0.5"), "--split 0.5: there are 1 shares"),
        (("yolo", "in", "out", "--split-by", "folder"), "'split_by' needs 'split'"),
        (("yolo", "in", "out", "--every", "3"), "--every: these are for MOT17 only"),
        (("yolo", "in", "out", "more"), "there are 4 arguments .*DIR OUT"),
        (("in",), "there are 1 arguments"),
        (("lmdb", "in", "out"), "no layout 'lmdb' .*coco, yolo, voc, mot"),
        (("shapes", "out"), "these data are made, not read"),
    ],
)
def test_mistakes(arguments, message, yolo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        call("convert", *arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["show", "convert"])
def test_help_shows_examples(command):
    assert f"bench data {command} my-export" in call(command, "--help")


def test_shows_what_was_read_and_draws_it(yolo, tmp_path):
    said = call("show", yolo, "--out", tmp_path / "pictures")
    assert "boxes clipped to the image" in said
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["in-images.png", "in-sizes.png"]
    assert call("show", yolo, "--format", "json", "--out", tmp_path / "none").startswith(("{", "["))
    assert not (tmp_path / "none").exists()


def test_videos_are_split_by_sequence_and_thinned(tmp_path):
    for number in ("02", "11", "13"):
        folder = tmp_path / "in" / f"MOT17-{number}-FRCNN"
        for frame in range(1, 5):
            draw(folder / "img1" / f"{frame:06d}.jpg", 40, 30)
        (folder / "gt").mkdir()
        (folder / "gt" / "gt.txt").write_text("1,1,11,6,10,20,1,1,1.0\n1,2,1,1,8,8,1,1,0.4\n")
        size = "imWidth=40\nimHeight=30\nimExt=.jpg\n"
        head = f"[Sequence]\nname={folder.name}\nimDir=img1\nframeRate=30\nseqLength=4\n"
        (folder / "seqinfo.ini").write_text(head + size)
    chosen = ("--train", "02", "--val", "11", "--test", "13")
    call("convert", "mot17", tmp_path / "in", tmp_path / "out", *chosen, "--every", "3", "--visibility", "0.5")
    person = ("person", (10, 5, 10, 20), False)
    hardly = ("person", (0, 0, 8, 8), True)
    found = reread(tmp_path / "out")
    assert found["train"] == {"MOT17-02/000001.jpg": [person, hardly], "MOT17-02/000004.jpg": []}
    assert {role: sorted(images) for role, images in found.items()} == {
        role: [f"MOT17-{number}/00000{frame}.jpg" for frame in (1, 4)]
        for role, number in zip(ROLES, ("02", "11", "13"), strict=True)
    }


def test_what_is_not_divided_is_shown_as_it_could_be_dealt(tmp_path):
    for number in range(5):
        draw(tmp_path / "in" / "images" / f"{number}.jpg", 40, 30)
        (tmp_path / "in" / "labels").mkdir(exist_ok=True)
        (tmp_path / "in" / "labels" / f"{number}.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    (tmp_path / "in" / "classes.txt").write_text("person\n")
    said = call("show", tmp_path / "in", "--out", tmp_path / "pictures")
    assert "its 5 images are not divided into train, val and test" in said
    assert "shown as --split 80/10/10 would deal it" in said
    assert len(list((tmp_path / "pictures").iterdir())) == 2
