"""What every measurement stands on: examples, the three splits that never share an image, and their hashes.

A record names the hash of its test split, so numbers from different images or boxes cannot land in one table.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.images import Images
from models.detector import Targets
from models.errors import UserError

Role = Literal["train", "val", "test"]
ROLES: tuple[Role, ...] = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Example:
    """The ground truth of one image, with n boxes; n may be 0.

    Attributes:
        id: of the image.
        width: in px.
        height: in px.
        boxes: x1, y1, x2, y2 in px, inside the image, float32 [n, 4].
        labels: int64 [n] in 1..C; 0 is background.
        crowd: bool [n], regions that a detection may hit without being counted wrong.
        areas: float32 [n] in square px, COCO's `area` or width x height.
        difficulty: named numbers where they are known (generated images), else empty.
    """

    id: int
    width: int
    height: int
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    areas: NDArray[np.float32]
    difficulty: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for array in (self.boxes, self.labels, self.crowd, self.areas):
            array.flags.writeable = False


@dataclass(frozen=True, eq=False)
class Split:
    """The examples of one role and their images.

    Attributes:
        role: "train", "val" or "test".
        classes: class names; label k means classes[k - 1].
        examples: the ground truth, by image.
        images: the images, in the same order.
    """

    role: Role
    classes: tuple[str, ...]
    examples: tuple[Example, ...]
    images: Images

    def __post_init__(self) -> None:
        if not self.examples:
            raise UserError(f"the {self.role} split is empty", fix="give it at least one image, or check the filter")
        if len(self.examples) != len(self.images):
            raise ValueError(f"{len(self.examples)} examples but {len(self.images)} images")
        seen: set[int] = set()
        for example in self.examples:
            if example.id in seen:
                raise UserError(f"image id {example.id} appears twice in the {self.role} split")
            seen.add(example.id)

    def __len__(self) -> int:
        return len(self.examples)

    def image(self, i: int) -> NDArray[np.uint8]:
        """One image.

        Args:
            i: index of the image.

        Returns:
            uint8 [H, W, 3], RGB, read only.

        Raises:
            UserError: it cannot be read, or its size is not the one its boxes were drawn for.
        """
        image, example = self.images.load(i), self.examples[i]
        if image.shape != (example.height, example.width, 3):
            raise UserError(
                f"the image is {image.shape[1]} x {image.shape[0]} px, "
                f"but its labels are for {example.width} x {example.height}",
                where=self.images.name(i),
                fix="annotate the image as it is stored, or resize the boxes with it",
            )
        return image

    def targets(self, indices: Sequence[int]) -> Targets:
        """The ground truth of some images, for training.

        Args:
            indices: of the images.

        Returns:
            Boxes in the unit square, padded to the fullest image.

        Raises:
            UserError: this is the test split.
        """
        chosen = [tunable(self).examples[i] for i in indices]
        most = max((len(example.labels) for example in chosen), default=0)
        boxes = torch.zeros(len(chosen), most, 4)
        labels = torch.zeros(len(chosen), most, dtype=torch.long)
        crowd = torch.zeros(len(chosen), most, dtype=torch.bool)
        for row, example in enumerate(chosen):
            n = len(example.labels)
            scale = np.array([example.width, example.height] * 2, np.float32)
            boxes[row, :n] = torch.from_numpy(example.boxes / scale)
            labels[row, :n] = torch.from_numpy(example.labels.copy())
            crowd[row, :n] = torch.from_numpy(example.crowd.copy())
        return Targets(boxes, labels, crowd)

    @cached_property
    def image_hashes(self) -> tuple[str, ...]:
        """sha256 (hex) of the bytes of each image, in order."""
        return self.images.hashes()

    @cached_property
    def hash(self) -> str:
        """sha256 (hex) over ids, boxes, labels, crowd flags and image bytes, in order; the same on every machine."""
        digest = hashlib.sha256()
        for example, image_hash in zip(self.examples, self.image_hashes, strict=True):
            digest.update(_eight_bytes(example.id) + np.array(len(example.labels), "<i8").tobytes())
            digest.update(np.asarray(example.boxes, "<f4").tobytes())
            digest.update(np.asarray(example.labels, "<i8").tobytes())
            digest.update(np.asarray(example.crowd, "u1").tobytes())
            digest.update(bytes.fromhex(image_hash))
        return digest.hexdigest()

    def coco(self) -> Mapping[str, Any]:
        """The ground truth as a COCO dictionary, made once and shared by all who ask: nobody may change it.

        Returns:
            Category ids 1..C, annotation ids from 1, bbox as x, y, width, height in px. An image whose difficulty is
            known carries it, by name, under "difficulty".
        """
        return self._coco

    @cached_property
    def _coco(self) -> dict[str, Any]:
        annotations: list[dict[str, Any]] = []
        for example in self.examples:
            boxes = example.boxes.astype(np.float64)
            sides = boxes[:, 2:] - boxes[:, :2]
            for k, label in enumerate(example.labels):
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": example.id,
                        "category_id": int(label),
                        "bbox": [*boxes[k, :2].tolist(), *sides[k].tolist()],
                        "area": float(example.areas[k]),
                        "iscrowd": int(example.crowd[k]),
                    }
                )
        return {
            "info": {},
            "images": [
                {"id": e.id, "width": e.width, "height": e.height}
                | ({"difficulty": dict(e.difficulty)} if e.difficulty else {})
                for e in self.examples
            ],
            "annotations": annotations,
            "categories": [{"id": k, "name": name} for k, name in enumerate(self.classes, 1)],
        }


def _eight_bytes(key: int) -> bytes:
    """An id for a hash: as a signed number of 64 bits where it is one, else the beginning of its own hash."""
    if -(2**63) <= key < 2**63:
        return key.to_bytes(8, "little", signed=True)
    return hashlib.sha256(str(key).encode()).digest()[:8]


def tunable(split: Split) -> Split:
    """The split itself when anything may be fitted on it, that is train or val.

    Args:
        split: the split.

    Returns:
        The same split.

    Raises:
        UserError: it is the test split.
    """
    if split.role == "test":
        raise UserError(
            "the test split may not be tuned on",
            fix="thresholds, temperatures, calibration and training never see the test split",
        )
    return split


@dataclass(frozen=True)
class Reading:
    """How data on disk became a dataset.

    Attributes:
        layout: what was seen, in words.
        notes: a count for each thing that was left out or changed, described in words.
        split: how the splits were dealt; None where they were there.
        names: of the images of each split, in order, as the layout has them.
    """

    layout: str
    notes: Mapping[str, int]
    split: Mapping[str, Any] | None = None
    names: Mapping[Role, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits of the same classes. Raises UserError when two of them share an image, compared byte for byte.

    Attributes:
        name: of the dataset.
        classes: class names, the same in all splits.
        train: what is trained on.
        val: what thresholds and policies are chosen on.
        test: what is reported.
        reading: how it came from files; None for data that are made.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    reading: Reading | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for role, split in zip(ROLES, self.splits, strict=True):
            if split.role != role:
                raise ValueError(f"a {split.role} split stands where {role} belongs")
            if split.classes != self.classes:
                raise UserError(
                    f"the {role} split has classes {list(split.classes)} instead of {list(self.classes)}",
                    where=self.name,
                    fix="all splits need the same classes in the same order",
                )
        for one, other in combinations(self.splits, 2):
            _check_disjoint(self.name, one, other)

    @property
    def splits(self) -> tuple[Split, Split, Split]:
        """train, val, test."""
        return self.train, self.val, self.test


def _check_disjoint(name: str, one: Split, other: Split) -> None:
    at = {image_hash: i for i, image_hash in enumerate(one.image_hashes)}
    pairs = [(at[image_hash], j) for j, image_hash in enumerate(other.image_hashes) if image_hash in at]
    if not pairs:
        return
    shown = "; ".join(
        f"id {one.examples[i].id} in {one.role} ({one.images.name(i)}) is "
        f"id {other.examples[j].id} in {other.role} ({other.images.name(j)})"
        for i, j in pairs[:3]
    )
    raise UserError(
        f"{one.role} and {other.role} share {len(pairs)} image{'s'[: len(pairs) > 1]}: {shown}"
        + ("; ..." if len(pairs) > 3 else ""),
        where=name,
        fix="keep each image in one split only, whatever its file name",
    )
