"""What `--data` may say, and what it answers when it says something else."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from bench.data.registry import READERS, Reader
from bench.data.spec import load
from models.errors import UserError
from tests.support.plugins import plug

TOML = """
[data]
name = "my-parts"
images = "images"
annotations = { train = "instances_train.json", val = "instances_val.json", test = "instances_test.json" }
"""


@pytest.fixture
def toml(coco_dir):
    """Writes a TOML file beside the data and gives its path as text."""

    def write(text: str) -> str:
        path = coco_dir.path / "own.toml"
        path.write_text(text)
        return str(path)

    return write


def test_shapes():
    data = load("shapes", seed=2, sizes=(3, 2, 1), size=64)
    assert [len(split) for split in data.splits] == [3, 2, 1]
    assert data.classes == ("circle", "square", "triangle", "star")
    assert data.train.image(0).shape == (64, 64, 3)


def test_coco_folder(coco_dir):
    data = load(f"coco:{coco_dir.path}", classes=("chair",), max_images_per_class=1)
    assert (data.name, data.classes, len(data.train), len(data.test)) == ("parts", ("chair",), 2, 2)


def test_toml_reads_beside_itself(toml, coco_dir):
    data = load(toml(TOML))
    assert (data.name, data.classes) == ("my-parts", ("person", "chair"))
    assert data.test.hash == load(f"coco:{coco_dir.path}").test.hash


def test_toml_options_and_what_overrides_them(toml):
    path = toml(TOML.replace('name = "my-parts"', 'classes = ["chair"]\nmax_images_per_class = 5'))
    assert load(path).name == "own"
    assert load(path).classes == ("chair",)
    assert load(path, classes=("person",)).classes == ("person",)


def test_a_toml_key_is_known_by_its_older_name(toml):
    for key in ("cap", "max_images_per_class"):
        with pytest.raises(UserError, match="my-parts: max_images_per_class is 0"):
            load(toml(TOML + f"\n{key} = 0"))
    with pytest.raises(UserError, match=r"own\.toml: \[data\]: max_images_per_class is given twice"):
        load(toml(TOML + "\ncap = 1\nmax_images_per_class = 1"))


def test_toml_with_a_folder_per_role(toml):
    table = 'images = { train = "images", val = "images", test = "images" }'
    assert len(load(toml(TOML.replace('images = "images"', table))).test) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[data]", "[date]", r"no table \[data\]"),
        ("[data]", "[data", r"own\.toml: not TOML: .*line 2"),
        ("name =", "nam =", r"'nam' is not understood in \[data\] \(did you mean 'name'\?"),
        ('images = "images"', 'imags = "images"', r"'imags' is not understood .*did you mean 'images'"),
        ('images = "images"', "", r"'images' is missing .*text or a table"),
        ('images = "images"', "images = 3", r"'images' is 3, not text or a table"),
        (
            'val = "instances_val.json", ',
            "",
            r"'annotations' is \{'train'.*\}, not one path for each of train, val",
        ),
        (
            'val = "instances_val.json"',
            "val = 3",
            r"'annotations' is \{.*'val': 3,.*\}, not one path for each of",
        ),
        ('"my-parts"', '"x"\nmax_images_per_class = "many"', r"'max_images_per_class' is 'many', not a whole number"),
        ('"my-parts"', '"x"\nmax_images_per_class = true', r"'max_images_per_class' is True, not a whole number"),
        ('"my-parts"', '"x"\nclasses = "person"', r"'classes' is 'person', not a list"),
        ('"my-parts"', '"x"\nclasses = [1]', r"'classes' is \[1\], not a list of names"),
        ("instances_val", "instances_dev", r"instances_dev\.json: there is no such file"),
    ],
)
def test_bad_toml_is_one_line(toml, old, new, message):
    assert old in TOML
    with pytest.raises(UserError, match=message) as caught:
        load(toml(TOML.replace(old, new)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("shape", r"--data shape: .*did you mean 'shapes'\?"),
        ("cooc:x", r"did you mean 'coco'\?"),
        ("coco", r"not understood .*write coco:DIR"),
        ("imagenet", r"not understood \(known: shapes, coco, yolo, voc, mot, toml; give a folder"),
        ("gone.toml", r"gone\.toml: there is no such file"),
    ],
)
def test_unknown_specs(spec, message):
    with pytest.raises(UserError, match=message):
        load(spec)


def test_a_folder_is_recognised(coco_dir):
    assert load(str(coco_dir.path)).test.hash == load(f"coco:{coco_dir.path}").test.hash


def test_a_folder_that_nobody_recognises(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(UserError, match=r"no layout is recognised .* it holds a\.txt, notes/ .*docs/data\.md"):
        load(str(tmp_path))


def test_options_of_the_other_kind(coco_dir):
    with pytest.raises(UserError, match="'max_images_per_class' is for data on disk only"):
        load("shapes", max_images_per_class=3)
    with pytest.raises(UserError, match="'size' is for shapes only"):
        load(f"coco:{coco_dir.path}", size=64)


def their_reader(place, options):
    """A reader that another package would bring."""
    options.refuse("max_images_per_class", owner="others", where=f"--data theirs:{place}")
    return replace(load("shapes", sizes=(2, 1, 1), size=64, seed=options.seed), name=f"theirs at {place}")


def test_other_packages_bring_readers(monkeypatch):
    plug(monkeypatch, READERS, theirs=f"{__name__}:READER")
    monkeypatch.setitem(sys.modules, __name__, SimpleNamespace(READER=Reader(their_reader)))
    assert load("theirs:a:b", seed=4).name == "theirs at a:b"
    assert load("theirs", seed=4).train.hash == load("shapes", sizes=(2, 1, 1), size=64, seed=4).train.hash
    with pytest.raises(UserError, match="--data theirs:x: 'max_images_per_class' is for others only"):
        load("theirs:x", max_images_per_class=3)
    with pytest.raises(UserError, match="did you mean 'theirs'"):
        load("their:x")


def test_no_package_takes_the_name_of_one_of_ours(monkeypatch):
    with pytest.raises(UserError, match="two packages bring the data 'coco': exitbench and"):
        plug(monkeypatch, READERS, coco=f"{__name__}:READER")
