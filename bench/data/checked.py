"""Every image opened once before anything is trained: what it is, and what is wrong with it.

Images are decoded in parallel. What was found is remembered by the hash of the file in the user's cache folder, so that
the next run only hashes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from bench.data.images import contents, decode
from bench.parallel import cores, each
from models.errors import UserError


@dataclass(frozen=True)
class Facts:
    """What an image file is.

    Attributes:
        hash: sha256 (hex) of its bytes.
        width: in px, upright.
        height: in px, upright.
        turned: whether EXIF asked for a turn.
        scaled: whether its values were deeper than 8 bits.
    """

    hash: str
    width: int
    height: int
    turned: bool
    scaled: bool


def checked(paths: Sequence[Path], memory: Path | None = None) -> list[Facts | UserError]:
    """Open images.

    Args:
        paths: of the files.
        memory: file in which sound images are remembered; None: in the user's cache folder.

    Returns:
        For each file what it is, or why it cannot be used.
    """
    memory = user_cache_path("exitbench", appauthor=False) / "images-1.jsonl" if memory is None else memory
    known = _remembered(memory)
    fresh: dict[str, Facts] = {}

    def check(path: Path) -> Facts | UserError:
        try:
            content = contents(path)
            key = hashlib.sha256(content).hexdigest()
            if key in known:
                return known[key]
            image = decode(content, path)
        except UserError as error:
            return error
        height, width, _ = image.pixels.shape
        fresh[key] = Facts(key, width, height, image.turned, image.scaled)
        return fresh[key]

    found = list(each("checking images", check, paths, cores()))
    _remember(memory, list(fresh.values()))
    return found


def _remembered(memory: Path) -> dict[str, Facts]:
    """What the file holds; a line that another process has half written is passed over."""
    found: dict[str, Facts] = {}
    with suppress(OSError, UnicodeDecodeError), memory.open(encoding="ascii") as lines:
        for line in lines:
            with suppress(ValueError, TypeError):
                facts = Facts(*json.loads(line))
                found[facts.hash] = facts
    return found


def _remember(memory: Path, facts: Sequence[Facts]) -> None:
    """Append to the file, where that is possible: without it the images are opened again."""
    if not facts:
        return
    rows = ([one.hash, one.width, one.height, one.turned, one.scaled] for one in facts)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    with suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        with memory.open("ab") as file:
            file.write(text.encode("ascii"))
