"""Notices when a folder or file of somebody else's is imported in place of one of our packages."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

NEIGHBOURS = ("strategies", "models")


class HiddenPackageError(ImportError):
    """Something called `models` or `strategies` comes before ours on Python's search path."""


def check_neighbours(root: Path) -> None:
    """Check that the packages beside `bench` are the ones that Python would import. Nothing is imported.

    Args:
        root: Folder that holds our packages.

    Raises:
        HiddenPackageError: One line that names the folder or file in the way, the package it hides, and what to do.
    """
    for name in NEIGHBOURS:
        found = find_spec(name)
        if found is None:
            continue
        places = list(found.submodule_search_locations or [found.origin or ""])
        if os.path.realpath(root / name) not in map(os.path.realpath, places):
            raise HiddenPackageError(
                f"{places[0]} hides the package {name} of exitbench ({root / name}): start Python in another folder, "
                f"rename yours, or take {Path(places[0]).parent} off PYTHONPATH; the command bench works here as it is"
            )
