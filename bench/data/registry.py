"""Readers of data by name, imported when one is asked for.

Ours are listed here; anyone else's join through the entry-point group `exitbench.readers`, and are asked for as
`--data NAME:REST`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from models.errors import UserError
from models.registry import Registry

if TYPE_CHECKING:
    from bench.data.split import Dataset


@dataclass(frozen=True)
class Options:
    """What may be asked of data beside where it is; None: not asked.

    Args:
        classes: names of the classes to keep.
        max_images_per_class: at most so many training images per class.
        seed: of data that is made.
        sizes: train, val and test images of data that is made.
        size: side of the images of data that is made, px.
    """

    classes: tuple[str, ...] | None = None
    max_images_per_class: int | None = None
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


class Reader(Protocol):
    """Opens data of one kind."""

    def __call__(self, place: str, options: Options) -> Dataset:
        """The dataset at a place.

        Args:
            place: what `--data` has after the colon; a file as it was named.
            options: what is asked beside; a reader refuses what it cannot do.

        Raises:
            UserError: for a place that is not there, and for bad data.
        """


READERS: Registry[Reader] = Registry(
    "data",
    "exitbench.readers",
    "--data",
    {
        "shapes": ("bench.data.shapes:read", "generated scenes of circles, squares, triangles and stars"),
        "coco": ("bench.data.coco:read_place", "coco:DIR, a folder with images/ and instances_{train,val,test}.json"),
        "toml": ("bench.data.toml_file:read", "FILE.toml, images and annotations per split: see docs/data.md"),
    },
)
