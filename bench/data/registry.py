"""Readers of data by name, imported when one is asked for.

Ours are listed here; anyone else's join through the entry-point group `exitbench.readers`, and are asked for as
`--data NAME:REST`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import UserError
from models.registry import Registry

if TYPE_CHECKING:
    from bench.data.found import Found
    from bench.data.split import Dataset


@dataclass(frozen=True)
class Options:
    """What may be asked of data beside where it is; None: not asked.

    Args:
        classes: names of the classes to keep.
        max_images_per_class: at most so many training images per class.
        split: shares of train, val and test, such as "80/10/10" (`bench.data.deal`).
        split_by: what is never divided: "image", "folder", or a regular expression on image names.
        split_seed: of the dealing.
        seed: of data that is made.
        sizes: train, val and test images of data that is made.
        size: side of the images of data that is made, px.
    """

    classes: tuple[str, ...] | None = None
    max_images_per_class: int | None = None
    split: str | None = None
    split_by: str | None = None
    split_seed: int | None = None
    seed: int = 0
    sizes: tuple[int, int, int] | None = None
    size: int | None = None

    def refuse(self, *names: str, owner: str, where: str) -> None:
        """Refuse options that are not for this data.

        Args:
            names: of the options.
            owner: the data that they are for.
            where: what the error points at.

        Raises:
            UserError: one of them was asked; the first is named.
        """
        for name in names:
            if getattr(self, name) is not None:
                raise UserError(f"'{name}' is for {owner} only", where=where, fix="leave it out")

    def folder(self, place: str, name: str) -> Path:
        """Return the folder that a reader of files is asked for.

        Args:
            place: what `--data` has after the colon.
            name: of the reader.

        Raises:
            UserError: there is no such folder, or an option is for data that is made.
        """
        where = f"--data {name}:{place}"
        self.refuse("sizes", "size", owner="shapes", where=where)
        if not place:
            raise UserError("this data is not understood", where=f"--data {name}", fix=f"write {name}:DIR")
        if not Path(place).expanduser().is_dir():
            raise UserError("there is no such folder", where=where, fix="give the folder of the dataset")
        return Path(place).expanduser()


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
