"""Files: replaced whole, so that a reader finds the old one or the new one, and read as text, TOML or JSON.

Text reads alike in every locale, and what cannot be read is one line.
"""

from __future__ import annotations

import codecs
import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from models.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
MARKS = {  # of UTF-16 after that of UTF-32, which begins alike
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
WIDEST = 2**63  # what integers of TOML are under
DEEPEST = 100  # tables and lists in one another; what walks through them calls itself once for each


def read_text(path: Path, fix: str = "give a text file") -> str:
    """Read a text file, in the same way whatever the locale.

    Args:
        path: of the file: UTF-8, or what a byte order mark says that it is.
        fix: what to do where it cannot be read at all.

    Returns:
        The text without the mark, with line feeds at the ends of lines.

    Raises:
        UserError: it is no such text, or cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError("there is no such file", where=str(path), fix=fix) from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path), fix=fix) from error
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        what = f"not {encoding.upper()} text: byte 0x{content[error.start]:02x} at offset {error.start}"
        raise UserError(what, where=str(path), fix="save it as UTF-8") from error
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def read_toml(path: Path, fix: str = "see docs/specs.md") -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: of the file.
        fix: what to do where it is no TOML.

    Raises:
        UserError: it cannot be read, or is no TOML.
    """
    parsed: dict[str, Any] = _parsed(tomllib.loads, tomllib.TOMLDecodeError, path, "TOML", fix)
    if any(isinstance(one, int) and not -WIDEST <= one < WIDEST for level in _levels(parsed) for one in level):
        raise UserError("holds an integer of more than 64 bits", where=str(path), fix=fix)
    return parsed


def read_json(path: Path, fix: str) -> Any:
    """Read a JSON file.

    Args:
        path: of the file.
        fix: what to do where it is no JSON.

    Raises:
        UserError: it cannot be read, or is no JSON.
    """
    return _parsed(json.loads, json.JSONDecodeError, path, "JSON", fix)


def _parsed(parse: Callable[[str], Any], malformed: type[ValueError], path: Path, kind: str, fix: str) -> Any:
    def refused(what: str) -> UserError:
        return UserError(what, where=str(path), fix=fix)

    text = read_text(path, fix)
    try:
        found = parse(text)
    except malformed as error:
        raise refused(f"not {kind}: {error}") from error
    except ValueError as error:  # more digits than Python converts
        raise refused("holds an integer of thousands of digits") from error
    except RecursionError as error:
        raise refused(f"nested more than {DEEPEST} deep") from error
    if sum(1 for _ in _levels(found)) > DEEPEST:
        raise refused(f"nested more than {DEEPEST} deep")
    return found


def _levels(found: Any) -> Iterator[list[Any]]:
    """What lies at each depth, as far as it may go and one further."""
    level = [found]
    for _ in range(DEEPEST + 1):
        if not level:
            return
        yield level
        level = [inner for one in level if isinstance(one, dict | list) for inner in _inner(one)]


def _inner(one: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return one.values() if isinstance(one, dict) else one


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replace a file all at once.

    The yielded path is a temporary file beside `path`. What was written there is flushed to disk and moved into place.
    Nothing is left behind on an error.

    Args:
        path: the file to replace; its folder is created.

    Yields:
        The temporary path to write to.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with open(partial, "rb") as written:
            os.fsync(written.fileno())
        os.replace(partial, path)
    except BaseException as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        full = full or (isinstance(error, Exception) and _free(path.parent) < 2**20)
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if full:
            fix = "free some, then run again with --resume"
            raise UserError("no space left on the disk", where=str(path), fix=fix) from error
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            raise UserError(
                f"cannot write here: {error.strerror}", where=str(path), fix="choose another folder"
            ) from error
        raise


def _free(folder: Path) -> int:
    """Bytes free where `folder` lies, for writers that hide the system's error (torch, safetensors)."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 2**63
