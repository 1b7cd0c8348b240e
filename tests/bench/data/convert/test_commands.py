"""`bench data convert`: parsed, run, and told in a few lines; mistakes are UserErrors, which `bench` prints."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.data.convert.commands import app
from bench.data.split import ROLES
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
    done = CliRunner().invoke(app, ["convert", *map(str, arguments)])
    if done.exception:
        raise done.exception
    return done.output


def test_converts_and_says_so(yolo, tmp_path):
    said = call("yolo", yolo, tmp_path / "out")
    assert said.splitlines() == [
        *(f"{role}: 1 images, 1 boxes of 1 of 1 classes, 0 ignore regions" for role in ROLES),
        "3 boxes clipped to the image",
        f"use it: --data coco:{tmp_path / 'out'}",
    ]
    assert reread(tmp_path / "out")["test"] == {"test/a.jpg": [("person", (15, 0, 10, 30), False)]}


def test_writes_over_a_folder_only_with_force(yolo, tmp_path):
    call("yolo", yolo, tmp_path / "out")
    with pytest.raises(UserError, match="--force"):
        call("yolo", yolo, tmp_path / "out")
    assert "use it" in call("yolo", yolo, tmp_path / "out", "--force", "--copy")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mot17", "gone", "out"), "gone: cannot list this folder"),
        (("mot17", ".", "out", "--val", "11,x"), "--val: '11,x' is no list of sequence numbers"),
        (("voc", "gone", "out"), "Annotations: cannot list this folder"),
        (("voc", ".", "out", "--split", "0.5"), "--split 0.5: these are not three numbers"),
        (("yolo", "gone", "out"), "gone: the class names are missing"),
    ],
)
def test_mistakes(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        call(*arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["mot17", "voc", "yolo"])
def test_help_shows_examples(kind):
    assert f"bench data convert {kind}" in call(kind, "--help")


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
    call("mot17", tmp_path / "in", tmp_path / "out", *chosen, "--every", "3", "--visibility", "0.5")
    person = ("person", (10, 5, 10, 20), False)
    hardly = ("person", (0, 0, 8, 8), True)
    found = reread(tmp_path / "out")
    assert found["train"] == {"MOT17-02/000001.jpg": [person, hardly], "MOT17-02/000004.jpg": []}
    assert {role: sorted(images) for role, images in found.items()} == {
        role: [f"MOT17-{number}/00000{frame}.jpg" for frame in (1, 4)]
        for role, number in zip(ROLES, ("02", "11", "13"), strict=True)
    }


def test_of_voc_only_the_chosen_classes_may_occur(tmp_path):
    voc = tmp_path / "in"
    (voc / "Annotations").mkdir(parents=True)
    (voc / "ImageSets" / "Main").mkdir(parents=True)
    for role in ROLES:
        draw(voc / "JPEGImages" / f"{role}.jpg", 40, 30)
        (voc / "ImageSets" / "Main" / f"{role}.txt").write_text(f"{role}\n")
        corners = "<xmin>11</xmin><ymin>6</ymin><xmax>20</xmax><ymax>25</ymax>"
        (voc / "Annotations" / f"{role}.xml").write_text(
            "<annotation><size><width>40</width><height>30</height></size>"
            f"<object><name>person</name><bndbox>{corners}</bndbox></object></annotation>"
        )
    call("voc", voc, tmp_path / "out", "--classes", "chair, person")
    assert reread(tmp_path / "out")["val"] == {"val.jpg": [("person", (10, 5, 10, 20), False)]}
    with pytest.raises(UserError, match="person"):
        call("voc", voc, tmp_path / "other", "--classes", "chair")
