"""Writing files so that a reader finds the old one or the new one, never half of either."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models.errors import UserError

UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


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
