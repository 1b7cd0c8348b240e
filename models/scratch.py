"""A temporary folder of this user's own, for what libraries keep when neither their folder nor HOME can be written.

What is kept there is code and pickles that are run when they are read again, and anybody may make folders in a shared
/tmp. So it is given only where nobody else could have put anything into it.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def home_folder() -> Path | None:
    """The user's home, whether or not it can be written.

    Returns:
        Its path; None where nobody knows one: no HOME, and a user that the system has no name for.
    """
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home if home.is_absolute() else None


def scratch_folder() -> Path | None:
    """Make this user's folder in the system's temporary one, or find it again.

    Returns:
        The folder; None where there is no safe one.
    """
    if not hasattr(os, "getuid"):
        return None
    try:
        shared = Path(tempfile.gettempdir())
        folder = shared / f"exitbench-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder if _safe(shared, folder) and os.access(folder, os.W_OK | os.X_OK) else None
    except OSError:
        return None


def settle_libraries() -> None:
    """Give libraries that keep settings and caches at home the scratch folder where home cannot be written.

    What they were told by their own variables stands. A home that can be read stays home, for the weights in it.
    """
    home = home_folder()
    if home is not None and os.access(home, os.W_OK | os.X_OK):
        return
    folder = scratch_folder()
    if home is None or not home.is_dir():  # some fail without one, and some write into a folder called "~"
        os.environ["HOME"] = str(folder or os.devnull)
    if folder is not None:
        os.environ.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))


def _safe(shared: Path, folder: Path) -> bool:
    """Whether the folder is ours alone, and nobody else can put another one in its place."""
    around, found = shared.stat(), folder.lstat()
    stays = around.st_uid in (0, os.getuid()) and (not around.st_mode & OTHERS_WRITE or around.st_mode & stat.S_ISVTX)
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & OTHERS_WRITE
    return bool(stays and ours)
