"""Readers of data by name, imported when one is asked for.

Ours are listed here; anyone else's join through the entry-point group `exitbench.readers`, and are asked for as
`--data NAME:REST`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.options import Options
from models.registry import Registry

if TYPE_CHECKING:
    from bench.data.found import Found
    from bench.data.split import Dataset


@dataclass(frozen=True)
class Reader:
    """Opens data of one kind.

    Args:
        read: (what `--data` has after the colon, options) -> what lies there, or the dataset of data that is made.
            UserError for a place that is not there and for data that cannot be read at all; what is wrong with single
            images goes into `Found.faults`.
        sees: (folder) -> what of this layout lies there, in words; None where nothing does. A reader without it has to
            be asked for by name.
    """

    read: Callable[[str, Options], Found | Dataset]
    sees: Callable[[Path], str | None] | None = None


READERS: Registry[Reader] = Registry(
    "data",
    "exitbench.readers",
    "--data",
    {
        "shapes": ("bench.data.shapes:READER", "generated scenes of circles, squares, triangles and stars"),
        "coco": ("bench.data.readers.coco:READER", "coco:DIR, COCO JSON as COCO, Roboflow, CVAT and others write it"),
        "yolo": (
            "bench.data.readers.yolo:READER",
            "yolo:DIR, a .txt per image: boxes, polygons, oriented boxes, poses",
        ),
        "voc": ("bench.data.readers.voc:READER", "voc:DIR, a Pascal VOC .xml per image"),
        "mot": ("bench.data.readers.mot:READER", "mot:DIR, videos of MOT17"),
        "toml": ("bench.data.readers.toml_file:READER", "FILE.toml, COCO JSON and images per split: see docs/data.md"),
    },
)
