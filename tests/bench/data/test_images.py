"""Files are decoded when asked for, and a bad one is a line with its path."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from bench.data.images import Files
from models.errors import UserError


def test_modes_become_rgb(tmp_path):
    for mode in ("L", "P", "RGBA", "1", "CMYK"):
        path = tmp_path / f"{mode}.{'jpg' if mode == 'CMYK' else 'png'}"
        Image.new(mode, (5, 4)).save(path)
        image = Files([path]).load(0)
        assert image.shape == (4, 5, 3)
        assert image.dtype == np.uint8
        assert not image.flags.writeable


def test_pixels_are_kept(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 7, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (Files([tmp_path / "a.png"]).load(0) == pixels).all()


def test_hash_is_of_the_file(tmp_path):
    (tmp_path / "a").write_bytes(b"anything")
    assert Files([tmp_path / "a"]).hashes() == (hashlib.sha256(b"anything").hexdigest(),)


def test_truncated_missing_and_foreign_files(tmp_path):
    whole = tmp_path / "whole.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(whole)
    (tmp_path / "cut.jpg").write_bytes(whole.read_bytes()[:900])
    (tmp_path / "text.jpg").write_text("not an image")
    files = Files([tmp_path / name for name in ("cut.jpg", "text.jpg", "gone.jpg")])
    for i, message in enumerate(("cut.jpg: cannot read", "text.jpg: cannot read", "gone.jpg: the image is missing")):
        with pytest.raises(UserError, match=message):
            files.load(i)
    with pytest.raises(UserError, match=r"gone\.jpg"):
        files.hashes()
