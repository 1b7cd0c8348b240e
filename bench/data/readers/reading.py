"""What the converters share in reading a source.

Lines with their numbers, image sizes, folder listings, and splits made by hash where the source has none. Every mistake
is a UserError that names its file.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from bench.data.split import ROLES, Role
from models.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
ORIENTATION = 0x0112  # EXIF


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Every line of a file that is not blank.

    Args:
        path: of a UTF-8 text file.

    Yields:
        (FILE:NUMBER, text).

    Raises:
        UserError: the file cannot be read.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read it: {error}", where=str(path), fix="restore it as UTF-8 text") from error
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            yield f"{path}:{number}", line.strip()


def finite(texts: Sequence[str], where: str) -> list[float]:
    """Numbers from their texts.

    Args:
        texts: the numbers as written.
        where: they stand, for the error message.

    Returns:
        The numbers.

    Raises:
        UserError: one of them is not a finite number.
    """
    try:
        values = [float(text) for text in texts]
    except ValueError as error:
        raise UserError(str(error), where=where, fix="correct or remove this line") from None
    if not all(map(math.isfinite, values)):
        raise UserError(f"not every number is finite: {' '.join(texts)}", where=where, fix="correct or remove it")
    return values


def whole(value: float, what: str, where: str) -> int:
    """A number that has to be a whole one.

    Args:
        value: the number.
        what: it is, for the error message.
        where: it stands, for the error message.

    Returns:
        The whole number.

    Raises:
        UserError: it is not a whole number.
    """
    if value != int(value):
        raise UserError(f"the {what} is {value}, not a whole number", where=where, fix="correct or remove this line")
    return int(value)


def entries(folder: Path, what: str) -> list[str]:
    """The sorted names in a folder, hidden ones left out.

    Args:
        folder: to list.
        what: the folder should hold, for the error message.

    Returns:
        The names.

    Raises:
        UserError: the folder is not there.
    """
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise UserError(f"cannot list this folder: {error.strerror}", where=str(folder), fix=what) from error


def image_size(path: Path) -> tuple[int, int]:
    """Size of an image as stored, from its header; EXIF rotation is ignored, as everywhere here.

    Args:
        path: of the image.

    Returns:
        (width, height) in px.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            f"cannot read the size of this image: {error}",
            where=str(path),
            fix="replace it, or remove it and its labels",
        ) from error


def orientation(path: Path) -> int:
    """The EXIF orientation of a JPEG that `image_size` could read.

    Args:
        path: of the image.

    Returns:
        1 to 8; 1 where the file does not say.
    """
    with Image.open(path) as image:
        return image.getexif().get(ORIENTATION, 1) if image.format == "JPEG" else 1


def shares(text: str) -> tuple[float, float, float]:
    """Shares of train, val and test from a text such as "0.8,0.1,0.1".

    Args:
        text: three numbers, separated by commas.

    Returns:
        The shares.

    Raises:
        UserError: they are not positive or do not sum to 1.
    """
    fix = "give the shares of train, val and test, such as 0.8,0.1,0.1"
    try:
        train, val, test = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError("these are not three numbers", where=f"--split {text}", fix=fix) from None
    if not min(train, val, test) > 0 or not math.isclose(train + val + test, 1, abs_tol=1e-6):
        raise UserError("the shares are not positive or do not sum to 1", where=f"--split {text}", fix=fix)
    return train, val, test


def role_of(name: str, parts: tuple[float, float, float]) -> Role:
    """The split of an image by the hash of its name: the same on every machine, whatever other images there are.

    Args:
        name: of the image.
        parts: shares of train, val and test.

    Returns:
        The split's role.
    """
    position = int.from_bytes(hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:6], "big") / 2**48
    if position < parts[0]:
        return "train"
    return "val" if position < parts[0] + parts[1] else "test"


def dealt(names: Sequence[str], parts: tuple[float, float, float]) -> dict[Role, list[str]]:
    """The names of each split by `role_of`.

    Args:
        names: of the images.
        parts: shares of train, val and test.

    Returns:
        Names by role, in their order.
    """
    found: dict[Role, list[str]] = {role: [] for role in ROLES}
    for name in names:
        found[role_of(name, parts)].append(name)
    return found
