"""Files are decoded when asked for, and a bad one is a line with its path."""

import hashlib
import os

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.data.images import Files, decode, shallow, upright_size
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


def decoded(path):
    return decode(path.read_bytes(), path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 256, 65535])
def test_images_are_turned_as_exif_asks(tmp_path, orientation, suffix):
    """Against OpenCV's own turning, but for numbers that mean nothing."""
    blocks = np.random.default_rng(0).integers(0, 256, (2, 3, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    exif, path = Image.Exif(), tmp_path / f"a.{suffix}"
    exif[0x0112] = orientation
    options = {"quality": 100, "subsampling": 0} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(blocks).save(path, exif=exif, **options)
    found = decoded(path)
    flag = cv2.IMREAD_COLOR if orientation in range(1, 9) else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    theirs = cv2.imread(str(path), flag)[..., ::-1]
    assert found.pixels.shape == theirs.shape
    assert np.abs(found.pixels.astype(int) - theirs).max() <= 3  # two decoders of JPEG
    assert found.turned == (orientation in range(2, 9))
    assert upright_size(path) == theirs.shape[1::-1]


def test_exif_that_cannot_be_read_asks_for_nothing(tmp_path):
    Image.new("RGB", (5, 4)).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09")
    assert decoded(tmp_path / "a.jpg").pixels.shape == (4, 5, 3)
    assert upright_size(tmp_path / "a.jpg") == (5, 4)


def test_sixteen_bits_are_divided_by_257(tmp_path):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(values).save(tmp_path / "a.png")
    found = decoded(tmp_path / "a.png")
    assert found.scaled
    assert (found.pixels == (values // 257)[..., None]).all()
    assert found.pixels.max() == 255


@pytest.mark.parametrize(
    ("values", "grey"),
    [
        (np.array([[0, 0.5, 1]], np.float32), [0, 127, 255]),
        (np.array([[0, 100.7, 255]], np.float32), [0, 100, 255]),
        (np.array([[0, 257 * 9, 65535]], np.int32), [0, 9, 255]),
        (np.array([[-1, 0, 1]], np.float32), [0, 127, 255]),
        (np.array([[0, 70000, 140000]], np.int32), [0, 127, 255]),
        (np.array([[np.nan, 0, 200]], np.float32), [0, 0, 200]),
        (np.array([[-5, -5]], np.int32), [0, 0]),
    ],
)
def test_other_deep_values(values, grey, tmp_path):
    assert shallow(values)[0].tolist() == [[value] * 3 for value in grey]
    Image.fromarray(values).save(tmp_path / "a.tiff")
    found = decoded(tmp_path / "a.tiff")
    assert found.scaled
    assert found.pixels[0, :, 0].tolist() == grey


def test_infinite_values_are_no_traceback(tmp_path):
    values = np.array([[np.inf, 0, 1], [-np.inf, 0.5, np.nan]], np.float32)
    assert shallow(values)[..., 0].tolist() == [[255, 0, 255], [0, 127, 0]]
    assert shallow(np.full((1, 2), np.inf, np.float32))[..., 0].tolist() == [[0, 0]]
    thermal = np.array([[-20, np.nan, 30, np.inf]], np.float32)
    assert shallow(thermal)[..., 0].tolist() == [[0, 0, 255, 255]]


@pytest.mark.parametrize("suffix", ["png", "pgm", "tiff"])
def test_dark_images_of_sixteen_bits_stay_dark(tmp_path, suffix):
    values = np.array([[0, 100, 255, 514]], np.uint16)
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), values)
    assert decoded(tmp_path / f"a.{suffix}").pixels[0, :, 0].tolist() == [0, 0, 0, 2]


def test_the_order_of_bytes_does_not_matter(tmp_path):
    values = np.array([[0, 100, 255]], ">u2")
    assert shallow(values)[..., 0].tolist() == shallow(values.astype("<u2"))[..., 0].tolist() == [[0, 0, 0]]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_and_devices_are_no_images(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "zero.png"):
        for read in (upright_size, lambda path: Files([path]).load(0), lambda path: Files([path]).hashes()):
            with pytest.raises(UserError, match=rf"{name}: this is not a file"):
                read(tmp_path / name)
