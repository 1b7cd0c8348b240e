"""What every converter makes of its source and `write` puts on disk.

Images with their boxes by split, and counts of what was left out or changed on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.data.split import ROLES, Role


@dataclass(frozen=True)
class Box:
    """An object in an image.

    Attributes:
        name: of its class.
        bbox: x, y, width, height in px, inside the image.
        ignore: whether it is a region where detections count neither way; COCO's `iscrowd`.
    """

    name: str
    bbox: tuple[float, float, float, float]
    ignore: bool = False


@dataclass(frozen=True)
class Labelled:
    """An image file and what is in it.

    Attributes:
        path: of the file.
        name: below OUT/images.
        width: in px.
        height: in px.
        boxes: the objects.
    """

    path: Path
    name: str
    width: int
    height: int
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Converted:
    """Three splits, and how often something was left out or changed.

    Attributes:
        classes: in the order of their ids.
        splits: images by role.
        notes: a count for each thing that was left out or changed, described in words.
    """

    classes: tuple[str, ...]
    splits: Mapping[Role, Sequence[Labelled]]
    notes: Counter[str] = field(default_factory=Counter)

    def summary(self) -> list[str]:
        """What to print at the end: a line for each split, one for each note."""
        lines = [self._split(role) for role in ROLES]
        return lines + [f"{count:,} {note}" for note, count in sorted(self.notes.items()) if count]

    def _split(self, role: Role) -> str:
        boxes = [box for image in self.splits[role] for box in image.boxes]
        objects = [box.name for box in boxes if not box.ignore]
        return (
            f"{role}: {len(self.splits[role]):,} images, {len(objects):,} boxes of {len(set(objects))} of "
            f"{len(self.classes)} classes, {len(boxes) - len(objects):,} ignore regions"
        )


def inside(
    corners: tuple[float, float, float, float], width: int, height: int, notes: Counter[str]
) -> tuple[float, float, float, float] | None:
    """A box clipped to its image and rounded to a thousandth of a pixel.

    Args:
        corners: x1, y1, x2, y2 in px.
        width: of the image in px.
        height: of the image in px.
        notes: counts what is clipped or dropped.

    Returns:
        x, y, width, height in px; None where no area is left.
    """
    x1, y1, x2, y2 = (round(value, 3) for value in corners)
    left, top, right, bottom = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if right <= left or bottom <= top:
        notes["boxes left out: no area inside the image"] += 1
        return None
    if (left, top, right, bottom) != (x1, y1, x2, y2):
        notes["boxes clipped to the image"] += 1
    return left, top, round(right - left, 3), round(bottom - top, 3)
