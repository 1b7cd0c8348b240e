"""From what a reader found to a Dataset: classes chosen, images checked, splits dealt, ids given.

Whatever is wrong with the labels or the images is collected on the way and raised at once.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.data import deal
from bench.data.checked import Facts, checked
from bench.data.found import Found, Labelled
from bench.data.images import Files
from bench.data.options import Options
from bench.data.split import ROLES, Dataset, Example, Reading, Role, Split
from models.errors import UserError, suggest


@dataclass(frozen=True)
class Settled:
    """What was found, once nothing is left to decide: ready to become a Dataset, or to be written.

    Attributes:
        name: of the dataset.
        classes: that are kept, label k being classes[k - 1].
        parts: images by split, with ids and the boxes of these classes.
        hashes: sha256 (hex) of each image file.
        reading: how it came about.
    """

    name: str
    classes: tuple[str, ...]
    parts: Mapping[Role, Sequence[Labelled]]
    hashes: Mapping[Path, str]
    reading: Reading


def settled(found: Found, options: Options) -> Settled:
    """Choose classes, check every image, deal splits and give ids.

    Args:
        found: by a reader.
        options: classes to keep, and how to deal.

    Returns:
        Images as they were found, under their own ids or numbered from 1.

    Raises:
        UserError: a class that is not there, splits that are missing and not dealt, or faults of the data.
    """
    dealing = deal.plan(found.parts, options)
    classes = chosen(found, options.classes)
    facts = sound(found)
    hashes = {path: one.hash for path, one in facts.items()}
    parts = numbered(dealing.parts(found.parts, hashes))
    labels = _relabelled(found.classes, classes)
    kept = {role: [_relabel(image, labels) for image in parts[role]] for role in ROLES}
    return Settled(
        found.name, classes, kept, hashes, Reading(found.layout, _notes(found, classes, facts), dealing.said)
    )


def dataset(what: Settled, max_images_per_class: int | None = None) -> Dataset:
    """Make a dataset.

    Args:
        what: images and labels.
        max_images_per_class: at most so many training images with any one class, and as many without any; None: all.
            Which ones are kept follows from the ids alone.

    Raises:
        UserError: the limit is below 1, or an image is in two splits.
    """
    if max_images_per_class is not None and max_images_per_class < 1:
        said = f"max_images_per_class is {max_images_per_class}"
        raise UserError(said, where=what.name, fix="keep at least 1 image per class, or leave it out")
    splits: list[Split] = []
    names: dict[Role, list[str]] = {}
    for role in ROLES:
        images, examples = what.parts[role], [_example(image) for image in what.parts[role]]
        some = role == "train" and max_images_per_class is not None
        kept = _at_most(examples, max_images_per_class or 0) if some else range(len(examples))
        names[role] = [images[i].name for i in kept]
        paths = [images[i].path for i in kept]
        files = Files(paths, [what.hashes[path] for path in paths])
        splits.append(Split(role, what.classes, tuple(examples[i] for i in kept), files))
    return Dataset(what.name, what.classes, *splits, reading=replace(what.reading, names=names))


def chosen(found: Found, asked: Sequence[str] | None) -> tuple[str, ...]:
    """The classes to keep: those that are asked for, or all that any box is of.

    Args:
        found: by a reader.
        asked: names; None: not asked.

    Raises:
        UserError: for a name that is not there or is asked for twice, and where no box is of any class.
    """
    if asked is None:
        used = used_labels(found)
        if not used:
            raise UserError(
                "there is no box in it", where=found.name, fix="label the images, or check where labels lie"
            )
        return tuple(name for label, name in enumerate(found.classes, 1) if label in used)
    if not asked or len(set(asked)) < len(asked):
        raise UserError(f"classes are {list(asked)}", where=found.name, fix="name at least one class, each once")
    for name in asked:
        if name not in found.classes:
            raise UserError(f"there is no class '{name}'", where=found.name, fix=suggest(name, found.classes))
    return tuple(asked)


def used_labels(found: Found) -> set[int]:
    """The labels that any box has."""
    arrays = [image.labels for part in found.parts.values() for image in part]
    return set(np.unique(np.concatenate(arrays)).tolist()) if arrays else set()


def sound(found: Found) -> dict[Path, Facts]:
    """Open every image and compare it with its labels.

    Args:
        found: by a reader.

    Returns:
        What each image file is.

    Raises:
        UserError: all faults that the reader found, and those of images that are broken or of another size.
    """
    images = {image.path: image for part in found.parts.values() for image in part}
    facts: dict[Path, Facts] = {}
    for image, one in zip(images.values(), checked(list(images)), strict=True):
        if isinstance(one, UserError):
            found.faults.found.append(one)
            continue
        facts[image.path] = one
        if (one.width, one.height) != (image.width, image.height):
            turned = " once it is turned as EXIF asks" if one.turned else ""
            found.faults.add(
                f"the image is {one.width} x {one.height} px{turned}, "
                f"but its labels are for {image.width} x {image.height}",
                where=str(image.path),
                fix="label the image upright as it is stored, or resize the boxes with it",
            )
    found.faults.check(found.name)
    return facts


def numbered(parts: Mapping[Role, Sequence[Labelled]]) -> dict[Role, list[Labelled]]:
    """Images with ids: their own where all have one, each once in its split; else from 1 through train, val and test.

    Args:
        parts: images by split.
    """
    own = [[image.id for image in parts[role]] for role in ROLES]
    if all(None not in ids and len(set(ids)) == len(ids) for ids in own):
        return {role: list(parts[role]) for role in ROLES}
    images = [image for role in ROLES for image in parts[role]]
    again = iter(replace(image, id=key) for key, image in enumerate(images, 1))
    return {role: [next(again) for _ in parts[role]] for role in ROLES}


def _notes(found: Found, classes: Sequence[str], facts: Mapping[Path, Facts]) -> dict[str, int]:
    notes, used = Counter(found.notes), used_labels(found)
    idle = [name for label, name in enumerate(found.classes, 1) if label not in used and name not in classes]
    if idle:
        notes[f"classes left out, as no box is of them ({', '.join(idle[:5])}{', ...' * (len(idle) > 5)})"] = len(idle)
    notes["images turned as EXIF asks"] = sum(one.turned for one in facts.values())
    notes["images of more than 8 bits scaled to 8"] = sum(one.scaled for one in facts.values())
    return {what: count for what, count in sorted(notes.items()) if count}


def _relabelled(every: Sequence[str], kept: Sequence[str]) -> np.ndarray:
    """int64 [1 + all classes]: the label among the classes that are kept, 0 for the others."""
    order = {name: label for label, name in enumerate(kept, 1)}
    return np.array([0, *(order.get(name, 0) for name in every)], np.int64)


def _relabel(image: Labelled, labels: np.ndarray) -> Labelled:
    mine = labels[image.labels]
    keep = mine > 0
    return replace(
        image, corners=image.corners[keep], labels=mine[keep], crowd=image.crowd[keep], areas=image.areas[keep]
    )


def _example(image: Labelled) -> Example:
    return Example(
        image.id or 0,
        image.width,
        image.height,
        boxes=image.corners.astype(np.float32),
        labels=image.labels,
        crowd=image.crowd,
        areas=image.areas.astype(np.float32),
    )


def _at_most(examples: Sequence[Example], most: int) -> list[int]:
    """Which examples to keep so that at most `most` have any one label, and `most` none.

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
    return sorted(kept)
