"""Writes data in COCO format (Lin et al. 2014, arXiv:1405.0312).

OUT/images and OUT/instances_{train,val,test}.json. The annotation files come last, so what was interrupted is not taken
for whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from bench.data.dataset import Settled
from bench.data.found import Labelled
from bench.data.split import ROLES
from bench.files import replacing
from bench.progress import bar
from models.errors import UserError


def check_free(out: Path, force: bool) -> None:
    """Check that a folder may be written into.

    Args:
        out: the folder; need not exist.
        force: whether it may hold something.

    Raises:
        UserError: it is no folder, or holds something and may not.
    """
    if out.exists() and not out.is_dir():
        raise UserError("this is not a folder", where=str(out), fix="choose another one for the result")
    if not force and out.is_dir() and any(out.iterdir()):
        raise UserError(
            "the folder is not empty", where=str(out), fix="choose another one, or --force to write over what is there"
        )


def write(what: Settled, out: Path, copy: bool = False) -> None:
    """Put images and annotations into a folder.

    Images are hard links to their source, or copies where the file system cannot link. Other files in the folder stay.

    Args:
        what: images and labels.
        out: the folder.
        copy: whether images are copied in any case.

    Raises:
        UserError: before anything is written: an image is in two splits or twice in one.
    """
    _check(what, out)
    for role in ROLES:
        (out / f"instances_{role}.json").unlink(missing_ok=True)
    everything = [image for role in ROLES for image in what.parts[role]]
    with bar("copying images" if copy else "linking images", len(everything)) as advance:
        for image in everything:
            _place(image.path, out / "images" / image.name, copy)
            advance()
    box_ids = count(1)
    for role in ROLES:
        content = _coco(what.parts[role], what.classes, box_ids)
        with replacing(out / f"instances_{role}.json") as partial:
            partial.write_text(json.dumps(content), encoding="utf-8")


def _check(what: Settled, out: Path) -> None:
    seen: dict[str, str] = {}
    for role in ROLES:
        if not what.parts[role]:
            raise UserError(f"there would be no images in {role}", where=str(out), fix="every split needs at least one")
        for image in what.parts[role]:
            if image.name in seen:
                raise UserError(
                    f"an image of this name is in {seen[image.name]} and in {role}",
                    where=str(image.path),
                    fix="name each image once, in one split",
                )
            seen[image.name] = role


def _place(source: Path, target: Path, copy: bool) -> None:
    if not copy and target.exists() and target.samefile(source):
        return  # renaming one link over another to the same file would leave both
    with replacing(target) as partial:
        partial.unlink(missing_ok=True)  # what a killed process left may be a link, and writing into it would hurt
        if copy or not _linked(source.resolve(), partial):
            shutil.copyfile(source, partial)


def _linked(source: Path, target: Path) -> bool:
    """Whether `target` is a hard link to `source` now; not so across file systems and on those without links."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def _coco(images: Sequence[Labelled], classes: Sequence[str], box_ids: Iterator[int]) -> dict[str, object]:
    return {
        "info": {},
        "images": [
            {"id": image.id, "file_name": image.name, "width": image.width, "height": image.height} for image in images
        ],
        "annotations": [
            {
                "id": next(box_ids),
                "image_id": image.id,
                "category_id": label,
                "bbox": [corners[0], corners[1], _tidy(corners[2] - corners[0]), _tidy(corners[3] - corners[1])],
                "area": area,
                "iscrowd": int(crowd),
            }
            for image in images
            for corners, label, area, crowd in zip(
                image.corners.tolist(), image.labels.tolist(), image.areas.tolist(), image.crowd.tolist(), strict=True
            )
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes, 1)],
    }


def _tidy(side: float) -> float:
    """A difference of two coordinates without the crumbs of its last digits, where it has three decimals."""
    short = round(side, 3)
    return short if abs(short - side) < 1e-9 else side
