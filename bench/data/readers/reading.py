"""What readers of files share: lines with their numbers, numbers that have to be numbers, and folders listed.

Links to folders are followed. Every mistake is a UserError that names its file.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.data.deal import shares
from bench.data.found import WORDS
from bench.data.images import SUFFIXES
from bench.data.options import Options
from bench.data.split import Role
from bench.files import read_text
from models.errors import UserError


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Every line of a text file that is not blank.

    Args:
        path: of the file.

    Yields:
        (FILE:NUMBER, text).

    Raises:
        UserError: the file cannot be read.
    """
    for number, line in enumerate(read_text(path).split("\n"), 1):
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


def below(folder: Path, suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    """All files of some kinds in a folder and the folders in it, sorted by their paths.

    Hidden ones are left out. Links are followed, and a circle is gone through once. A link that leads nowhere is a
    file, and so is a device that is called like an image: whoever opens it says so.

    Args:
        folder: to look into; need not be there.
        suffixes: of the files, in lower case.

    Raises:
        UserError: a folder cannot be listed.
    """
    found = _below(folder, tuple(suffixes), frozenset()) if folder.is_dir() else ()
    return sorted(found, key=lambda path: path.as_posix())


def _below(folder: Path, suffixes: tuple[str, ...], above: frozenset[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in above:
        return
    for name in entries(folder, "make it readable"):
        path = folder / name
        try:
            mode = os.stat(path).st_mode
        except OSError:
            mode = None
        if mode is not None and stat.S_ISDIR(mode):
            yield from _below(path, suffixes, above | {real})
        elif name.lower().endswith(suffixes) and (mode is None or stat.S_ISREG(mode) or suffixes == SUFFIXES):
            yield path


def holds(folder: Path, suffixes: Sequence[str] = SUFFIXES) -> bool:
    """Whether a folder, if it is one, has a file of some kinds directly in it."""
    try:
        return any(name.lower().endswith(tuple(suffixes)) and name[0] != "." for name in os.listdir(folder))
    except OSError:
        return False


def folders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, hidden ones left out; none where there is no such folder."""
    names = entries(folder, "make it readable") if folder.is_dir() else []
    return [folder / name for name in names if (folder / name).is_dir()]


def split_of(name: str) -> Role | None:
    """The split that a file or folder is called after: train, Valid, test2017; None: after none."""
    return WORDS.get(re.sub(r"[\d_-]+$", "", name.lower()))


def split_folders(folder: Path) -> dict[Role, list[Path]]:
    """The folders in a folder that are called after a split."""
    found: dict[Role, list[Path]] = {}
    for path in folders(folder):
        if role := split_of(path.name):
            found.setdefault(role, []).append(path)
    return found


def deals_all(options: Options) -> bool:
    """Whether all images are to be dealt anew, so that it does not matter where they are now."""
    return options.split is not None and len(shares(options.split)) == 3
