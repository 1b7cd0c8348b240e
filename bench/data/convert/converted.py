"""What every converter makes of its source and `write` puts on disk: images with their boxes by split, and counts of
what was left out or changed on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.data.split import ROLES, Role


@dataclass(frozen=True)
class Box:
    """An object of class `name`. bbox: x, y, width, height in pixels, inside the image. ignore: a region where
    detections count neither way; COCO's `iscrowd`."""

    name: str
    bbox: tuple[float, float, float, float]
    ignore: bool = False


@dataclass(frozen=True)
class Labelled:
    """An image file, the name it gets below OUT/images, its sides in pixels and what is in it."""

    path: Path
    name: str
    width: int
    height: int
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Converted:
    """Three splits, the classes in the order of their ids, and how often something was left out or changed: a count for
    each thing, described in words."""

    classes: tuple[str, ...]
    splits: Mapping[Role, Sequence[Labelled]]
    notes: Counter[str] = field(default_factory=Counter)

    def summary(self) -> list[str]:
        """What to tell at the end: a line for each split, one for each note."""
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
    """x1 y1 x2 y2 in pixels as x, y, width, height, clipped to the image and rounded to a thousandth of a pixel; None
    where no area is left. Counts in `notes` what it clips and drops."""
    x1, y1, x2, y2 = (round(value, 3) for value in corners)
    left, top, right, bottom = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if right <= left or bottom <= top:
        notes["boxes left out: no area inside the image"] += 1
        return None
    if (left, top, right, bottom) != (x1, y1, x2, y2):
        notes["boxes clipped to the image"] += 1
    return left, top, round(right - left, 3), round(bottom - top, 3)
