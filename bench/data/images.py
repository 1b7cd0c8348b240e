"""Where the images of a split come from: files that are decoded each time they are needed, or generated arrays.

Both give read-only RGB and one sha256 per image, so a split can be hashed and compared.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import UserError


class Images(Protocol):
    """The images of one split, by index."""

    def __len__(self) -> int: ...

    def load(self, i: int) -> NDArray[np.uint8]:
        """One image: uint8 [H, W, 3], RGB, read only."""

    def name(self, i: int) -> str:
        """What to call an image in an error message."""

    def hashes(self) -> tuple[str, ...]:
        """sha256 (hex) of the bytes of each image: of the file where there is one, of the array otherwise."""


class Files:
    """Images on disk, decoded by Pillow when needed and not kept.

    EXIF orientation is ignored, as COCO does.

    Args:
        paths: of the files.
    """

    def __init__(self, paths: Sequence[Path]):
        self.paths = tuple(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, i: int) -> NDArray[np.uint8]:
        """Decode one image.

        Args:
            i: index of the image.

        Returns:
            uint8 [H, W, 3], RGB, read only.

        Raises:
            UserError: the file is missing, truncated or no image.
        """
        try:
            with Image.open(self.paths[i]) as image:
                array = np.array(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise _unreadable(self.paths[i], error) from error
        array.flags.writeable = False
        return array

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
        return tuple(_file_hash(path) for path in self.paths)


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
