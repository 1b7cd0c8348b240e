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
