"""Where the images of a split come from: files that are decoded each time they are asked for, or arrays
that were generated. Both answer with read-only RGB and with one sha256 per image, so a split can be
hashed and compared."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from models.errors import UserError


class Images(Protocol):
    """The images of one split, by position."""

    def __len__(self) -> int: ...

    def load(self, i: int) -> np.ndarray:
        """Image i: uint8 [H, W, 3], RGB, read only."""

    def name(self, i: int) -> str:
        """What to call image i when something is wrong with it."""

    def hashes(self) -> tuple[str, ...]:
        """sha256 (hex) of the bytes of each image: of the file where there is one, of the array
        otherwise."""


class Files:
    """Images on disk, decoded by Pillow when asked for and not kept. EXIF orientation is ignored, as COCO
    does."""

    def __init__(self, paths: Sequence[Path]):
        self.paths = tuple(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, i: int) -> np.ndarray:
        """Raises UserError when the file is missing, truncated or no image."""
        try:
            with Image.open(self.paths[i]) as image:
                array = np.array(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise _unreadable(self.paths[i], error) from error
        array.flags.writeable = False
        return array

    def name(self, i: int) -> str:
        return str(self.paths[i])

    def hashes(self) -> tuple[str, ...]:
        """Raises UserError when a file is missing or unreadable. Nothing is decoded."""
        return tuple(_file_hash(path) for path in self.paths)


class Arrays:
    """Images in memory: uint8 [H, W, 3] each, made read only here."""

    def __init__(self, arrays: Sequence[np.ndarray]):
        self.arrays = tuple(np.ascontiguousarray(array).view() for array in arrays)
        for array in self.arrays:
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.arrays)

    def load(self, i: int) -> np.ndarray:
        return self.arrays[i]

    def name(self, i: int) -> str:
        return f"generated image {i}"

    def hashes(self) -> tuple[str, ...]:
        return tuple(hashlib.sha256(array).hexdigest() for array in self.arrays)


def _file_hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError("the image is missing", where=str(path), fix="restore it or take it out of the annotations")
    return UserError(
        f"cannot read the image: {error}",
        where=str(path),
        fix="replace it or take it out of the annotations",
    )
