"""What may be asked of data beside where it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.errors import UserError


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
