"""The COCO reader: three annotation files and their images become a Dataset.

The checks of one file are in `coco_file`; here the classes are chosen, the images found and the training split limited.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.data.coco_file import Box, CocoFile, ImageEntry, read
from bench.data.images import Files
from bench.data.registry import Options
from bench.data.split import ROLES, Dataset, Example, Role, Split
from models.errors import UserError


def coco(
    images: Path | Mapping[Role, Path],
    annotations: Mapping[Role, Path],
    classes: Sequence[str] | None = None,
    max_images_per_class: int | None = None,
    name: str = "coco",
) -> Dataset:
    """Read a dataset in COCO format (Lin et al. 2014, arXiv:1405.0312), one annotation file per split.

    Images come in the order of their ids. Annotations of classes that are not kept are dropped; images without any that
    is kept stay as negatives. Boxes may overhang the image by up to 1 px and are clipped. Crowds (`iscrowd` 1) keep
    their bbox; segmentations are not read. `area` is kept as it is, or is width x height where absent.

    Args:
        images: one folder for all splits, or one per split.
        annotations: the annotation file of each split, with bbox as x, y, width, height in px.
        classes: the categories to keep, label k being classes[k - 1]; None keeps all, in the order of their ids.
        max_images_per_class: at most this many train images with any one class, and as many negatives; None keeps all.
            Which ones are kept follows from the ids alone.
        name: of the dataset.

    Returns:
        The dataset.

    Raises:
        UserError: something in the files is missing, contradictory or out of range.
    """
    folders = images if isinstance(images, Mapping) else dict.fromkeys(ROLES, images)
    files = {role: read(Path(annotations[role])) for role in ROLES}
    names = tuple(classes) if classes is not None else _shared_classes(files)
    if not names or len(set(names)) < len(names):
        raise UserError(f"classes are {list(names)}", where=name, fix="name at least one class, each once")
    if max_images_per_class is not None and max_images_per_class < 1:
        raise UserError(
            f"max_images_per_class is {max_images_per_class}",
            where=name,
            fix="keep at least 1 image per class, or leave it out",
        )
    splits = []
    for role in ROLES:
        kept = _examples(files[role], names)
        if role == "train" and max_images_per_class is not None:
            kept = _at_most(kept, max_images_per_class)
        if not kept:
            raise UserError("there are no images in it", where=str(files[role].path), fix=f"{role} needs at least one")
        paths = _paths(files[role], Path(folders[role]), [example.id for example in kept])
        splits.append(Split(role, names, tuple(kept), Files(paths)))
    return Dataset(name, names, *splits)


def coco_folder(folder: Path, classes: Sequence[str] | None = None, max_images_per_class: int | None = None) -> Dataset:
    """Read FOLDER/images and FOLDER/instances_{train,val,test}.json or FOLDER/annotations/instances_*.json.

    Args:
        folder: holds images and annotations.
        classes: as for `coco`.
        max_images_per_class: as for `coco`.

    Returns:
        The dataset, named like the folder.

    Raises:
        UserError: as `coco`, or a file is not there; says where it was expected.
    """
    if not (folder / "images").is_dir():
        raise UserError(f"there is no folder {folder / 'images'}", where=str(folder), fix="put the images there")
    annotations = {role: _annotation_file(folder, role) for role in ROLES}
    return coco(folder / "images", annotations, classes, max_images_per_class, name=folder.resolve().name)


def read_place(place: str, options: Options) -> Dataset:
    """Open `coco:DIR` (a `bench.data.registry.Reader`).

    Args:
        place: path of the folder.
        options: classes and max_images_per_class.

    Raises:
        UserError: there is no place, an option is not for it, or its data is bad.
    """
    where = f"--data coco:{place}"
    options.refuse("sizes", "size", owner="shapes", where=where)
    if not place:
        raise UserError("this data is not understood", where="--data coco", fix="write coco:DIR")
    return coco_folder(Path(place).expanduser(), options.classes, options.max_images_per_class)


def _annotation_file(folder: Path, role: Role) -> Path:
    places = [folder / f"instances_{role}.json", folder / "annotations" / f"instances_{role}.json"]
    for place in places:
        if place.is_file():
            return place
    raise UserError(
        f"no annotations for {role}: neither {places[0]} nor {places[1]} is there",
        where=str(folder),
        fix="name the file like that, or describe your layout in a TOML file",
    )


def _shared_classes(files: Mapping[Role, CocoFile]) -> tuple[str, ...]:
    """All categories of the train file, by id. Raises UserError when another file has more."""
    names = tuple(files["train"].categories.values())
    for role in ROLES[1:]:
        extra = [name for name in files[role].categories.values() if name not in names]
        if extra:
            raise UserError(
                f"categories {extra} are not in {files['train'].path}",
                where=str(files[role].path),
                fix="give all files the same categories, or choose classes",
            )
    return names


def _examples(file: CocoFile, classes: Sequence[str]) -> list[Example]:
    return [_example(file.images[key], boxes) for key, boxes in file.boxes(classes).items()]


def _example(image: ImageEntry, boxes: list[Box]) -> Example:
    return Example(
        image.id,
        image.width,
        image.height,
        boxes=np.array([box.xyxy for box in boxes], np.float32).reshape(-1, 4),
        labels=np.array([box.label for box in boxes], np.int64),
        crowd=np.array([box.crowd for box in boxes], bool),
        areas=np.array([box.area for box in boxes], np.float32),
    )


def _at_most(examples: list[Example], most: int) -> list[Example]:
    """At most `most` images with any one label, and `most` with none.

    Rare labels choose first, since an image that is kept for them counts for its other labels too. Among equals the
    order is a hash of the id, which spreads the choice over images taken one after another.
    """
    labels = [frozenset(example.labels.tolist()) or frozenset({0}) for example in examples]
    members: dict[int, list[int]] = defaultdict(list)
    for i in sorted(range(len(examples)), key=lambda i: hashlib.sha256(str(examples[i].id).encode()).digest()):
        for label in labels[i]:
            members[label].append(i)
    room, kept = dict.fromkeys(members, most), set()
    for label in sorted(members, key=lambda label: (len(members[label]), label)):
        for i in members[label]:
            if i not in kept and all(room[other] > 0 for other in labels[i]):
                kept.add(i)
                for other in labels[i]:
                    room[other] -= 1
    return [examples[i] for i in sorted(kept)]


def _paths(file: CocoFile, folder: Path, ids: Sequence[int]) -> list[Path]:
    """The image files of `ids`, known to exist from one listing per folder."""
    paths = [folder / file.images[key].file_name for key in ids]
    listings: dict[Path, set[str]] = {}
    for key, path in zip(ids, paths, strict=True):
        if path.parent not in listings:
            try:
                listings[path.parent] = set(os.listdir(path.parent))
            except OSError as error:
                raise UserError(
                    f"cannot list the folder {path.parent}: {error.strerror}",
                    where=f"{file.path}, image {key}",
                    fix="file_name is relative to the folder of images",
                ) from error
        if path.name not in listings[path.parent]:
            raise UserError(
                f"the image {path} is missing",
                where=f"{file.path}, image {key}",
                fix="restore it or take it out; file_name is relative to the folder of images",
            )
    return paths
