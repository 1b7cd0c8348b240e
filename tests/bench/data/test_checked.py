"""Every image is opened once: what it is, what is wrong with it, and that this is remembered."""

import hashlib
import json
import os

import numpy as np
import pytest
from PIL import Image

from bench.data import checked as checking
from bench.data.checked import Facts, checked
from models.errors import UserError
from tests.support.reread import draw


@pytest.fixture
def paths(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(tmp_path / "plain.png", 8, 6)
    draw(tmp_path / "turned.jpg", 8, 6, exif=exif)
    Image.fromarray(np.full((6, 8), 40000, np.uint16)).save(tmp_path / "deep.png")
    return [tmp_path / name for name in ("plain.png", "turned.jpg", "deep.png")]


def hashed(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_facts(paths, tmp_path):
    plain, turned, deep = paths
    assert checked(paths, tmp_path / "memory") == [
        Facts(hashed(plain), 8, 6, turned=False, scaled=False),
        Facts(hashed(turned), 6, 8, turned=True, scaled=False),
        Facts(hashed(deep), 8, 6, turned=False, scaled=True),
    ]


def test_what_was_opened_is_remembered_by_its_content(paths, tmp_path, monkeypatch):
    memory = tmp_path / "deep" / "memory"
    first = checked(paths, memory)

    def unwanted(*_):
        raise AssertionError("an image is decoded again")

    monkeypatch.setattr(checking, "decode", unwanted)
    assert checked(paths, memory) == first
    paths[0].rename(tmp_path / "other.png")
    assert checked([tmp_path / "other.png"], memory) == first[:1]
    draw(paths[0], 5, 5)
    with pytest.raises(AssertionError, match="decoded again"):
        checked(paths, memory)


def test_bad_images_are_said_each_time(paths, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(paths[0].read_bytes()[:60])
    for _ in range(2):
        one, other, gone = checked([bad, paths[0], tmp_path / "gone.png"], tmp_path / "memory")
        assert isinstance(one, UserError)
        assert "bad.png: cannot read the image" in str(one)
        assert isinstance(other, Facts)
        assert "gone.png: the image is missing" in str(gone)


def test_a_memory_that_is_damaged_or_cannot_be_written_costs_time_only(paths, tmp_path):
    memory = tmp_path / "memory"
    first = checked(paths, memory)
    memory.write_text(memory.read_text()[:100] + '\n[1]\n{"a": 2}\n\n')
    assert checked(paths, memory) == first
    memory.write_bytes(b"\xff\xfe\x00")
    assert checked(paths, memory) == first
    assert checked(paths, tmp_path / "memory" / "in" / "a" / "file") == first


def test_lines_of_the_memory_are_whole(paths, tmp_path):
    checked(paths, tmp_path / "memory")
    rows = [json.loads(line) for line in (tmp_path / "memory").read_text().splitlines()]
    assert sorted(row[0] for row in rows) == sorted(map(hashed, paths))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_and_devices_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for one in checked([tmp_path / "pipe.png", tmp_path / "zero.png", tmp_path], tmp_path / "memory"):
        assert "this is not a file" in str(one)
