"""Where the images of a split come from: files that are decoded each time they are needed, or generated arrays.

Both give read-only RGB and one sha256 per image, so a split can be hashed and compared. A file is decoded in one way
everywhere: turned as EXIF asks, and with deeper values than 8 bits scaled to 8.
"""

from __future__ import annotations

import hashlib
import io
import stat
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from models.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".jp2", ".gif", ".pgm", ".ppm", ".jfif")
ORIENTATION = 0x0112  # EXIF; 2 to 8 ask for a turn, and editors write other numbers that mean nothing
SIXTEEN = ("PNG", "PPM")  # formats that are at most so deep
TURNED = range(2, 9)
SIDEWAYS = range(5, 9)
FAILURES = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)  # of Pillow, on bad files


class Images(Protocol):
    """The images of one split, by index."""

    def __len__(self) -> int: ...

    def load(self, i: int) -> NDArray[np.uint8]:
        """One image: uint8 [H, W, 3], RGB, read only."""

    def name(self, i: int) -> str:
        """What to call an image in an error message."""

    def hashes(self) -> tuple[str, ...]:
        """sha256 (hex) of the bytes of each image: of the file where there is one, of the array otherwise."""


@dataclass(frozen=True)
class Decoded:
    """An image as it is used, and what was done to it.

    Attributes:
        pixels: uint8 [H, W, 3], RGB, read only.
        turned: whether EXIF asked for a turn.
        scaled: whether its values were deeper than 8 bits.
    """

    pixels: NDArray[np.uint8]
    turned: bool
    scaled: bool


class Files:
    """Images on disk, decoded by Pillow when needed and not kept.

    Args:
        paths: of the files.
        hashes: sha256 (hex) of each file where they are known already.
    """

    def __init__(self, paths: Sequence[Path], hashes: Sequence[str] | None = None):
        self.paths = tuple(paths)
        self._hashes = None if hashes is None else tuple(hashes)

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, i: int) -> NDArray[np.uint8]:
        """Decode one image.

        Args:
            i: index of the image.

        Returns:
            uint8 [H, W, 3], RGB, read only, upright.

        Raises:
            UserError: the file is missing, truncated or no image.
        """
        return decode(contents(self.paths[i]), self.paths[i]).pixels

    def name(self, i: int) -> str:
        """The path of an image."""
        return str(self.paths[i])

    def hashes(self) -> tuple[str, ...]:
        """sha256 (hex) of each file; nothing is decoded.

        Returns:
            One hash per image.

        Raises:
            UserError: a file is missing or unreadable.
        """
        if self._hashes is None:
            self._hashes = tuple(hashlib.sha256(contents(path)).hexdigest() for path in self.paths)
        return self._hashes


class Arrays:
    """Images in memory.

    Args:
        arrays: uint8 [H, W, 3] each; read only here.
    """

    def __init__(self, arrays: Sequence[NDArray[np.uint8]]):
        self.arrays = tuple(np.ascontiguousarray(array).view() for array in arrays)
        for array in self.arrays:
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.arrays)

    def load(self, i: int) -> NDArray[np.uint8]:
        """One image: uint8 [H, W, 3], RGB, read only."""
        return self.arrays[i]

    def name(self, i: int) -> str:
        """What to call an image in an error message."""
        return f"generated image {i}"

    def hashes(self) -> tuple[str, ...]:
        """sha256 (hex) of each array."""
        return tuple(hashlib.sha256(array).hexdigest() for array in self.arrays)


def contents(path: Path) -> bytes:
    """The bytes of an image file.

    Args:
        path: of the file.

    Raises:
        UserError: it is missing, cannot be read, or is a device or a pipe.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError("this is not a file", where=str(path), fix="take it out of the annotations")
        return path.read_bytes()
    except FileNotFoundError as error:
        fix = "restore it or take it out of the annotations"
        raise UserError("the image is missing", where=str(path), fix=fix) from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def decode(content: bytes, path: Path) -> Decoded:
    """An image file as everything here sees it: upright, RGB, 8 bits.

    Args:
        content: the file's bytes.
        path: of the file, for error messages.

    Raises:
        UserError: it is truncated or no image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, on odd metadata: it reads the pixels all the same
            with Image.open(io.BytesIO(content)) as image:
                image.load()
                turned, scaled = orientation(image) in TURNED, is_deep(image.mode)
                upright = ImageOps.exif_transpose(image) if turned else image
                pixels = shallow(_deep(upright, image.format)) if scaled else np.array(upright.convert("RGB"))
    except FAILURES as error:
        raise _unreadable(path, error) from error
    pixels.flags.writeable = False
    return Decoded(pixels, turned, scaled)


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height in px once an image is turned as EXIF asks, from its header alone.

    Args:
        path: of the image.

    Raises:
        UserError: it cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError("this is not a file", where=str(path), fix="remove it and its labels")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                width, height = image.size
                return (height, width) if orientation(image) in SIDEWAYS else (width, height)
    except FAILURES as error:
        raise _unreadable(path, error) from error


def orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1 where the image does not say, or says it so that nobody can read it.

    Args:
        image: just opened.
    """
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except FAILURES:
        return 1
    return found if isinstance(found, int) else 1


def is_deep(mode: str) -> bool:
    """Whether the values of a mode of Pillow's are deeper than 8 bits: whole numbers of 16 or 32 bits, or floats."""
    return mode.startswith(("I", "F"))


def _deep(image: Image.Image, layout: str | None) -> NDArray[np.generic]:
    """The values of a deep image; of 16 bits also where Pillow hands them out in wider ones."""
    values = np.array(image)
    return values.astype(np.uint16) if layout in SIXTEEN and image.mode == "I" else values


def shallow(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Deep grey values as RGB of 8 bits.

    Whole numbers of 16 bits are divided by 257, so that 65535 is white. Others have no white of their own: they are
    taken as 8 bits, as 16 bits or as shares of 1 where all of them fit, and are otherwise stretched to reach from black
    to white.

    Args:
        values: [H, W], of any integer or float type.

    Returns:
        uint8 [H, W, 3].
    """
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:  # in either order of bytes
        grey = values // 257
    else:
        real = values.astype(np.float64)
        finite = real[np.isfinite(real)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        real = np.nan_to_num(real, nan=min(low, 0.0), posinf=high, neginf=low)
        if low >= 0 and values.dtype.kind == "f" and high <= 1:
            grey = real * 255
        elif low >= 0 and high <= 255:
            grey = real
        elif low >= 0 and high <= 65535:
            grey = real / 257
        else:
            grey = np.clip((real - low) / max(high - low, 1e-12), 0, 1) * 255
    return np.repeat(np.asarray(grey).astype(np.uint8)[..., None], 3, axis=2)


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split()).replace("<_io.BytesIO object", "<file")
    return UserError(
        f"cannot read the image: {reason}", where=str(path), fix="replace it or take it out of the annotations"
    )
