"""Exit profile: which kinds of images leave at which exit.

Images are grouped by what is known of them, by their boxes and, where they were generated, by how hard they were made;
and for each group, the share that every exit answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.records import ExitProfile
from models.matching import pairwise_iou

Groups = dict[str, NDArray[np.bool_]]  # name -> which images are in it, bool [N]

COUNTS = {"0": (0, 0), "1": (1, 1), "2-3": (2, 3), "4+": (4, np.inf)}  # boxes, both ends included
HARDNESS = ("difficulty", "clutter", "contrast", "occlusion")  # known of generated images; boxes do not say it
OF_OBJECTS = ("contrast", "occlusion")  # undefined on an image without any
NAMES = {1: ("all",), 2: ("low", "high"), 3: ("low", "middle", "high")}
NO_BOXES = "no boxes"


def exit_profile(
    truth: Mapping[str, Any], image_ids: Sequence[int], exits: NDArray[np.integer], count: int
) -> list[ExitProfile]:
    """The share of images that each exit answers, by kind of image.

    The groups of a factor hold every image once, but for classes: an image is in the group of each class that it holds.
    A factor that gives only one group is left out.

    Args:
        truth: a COCO ground-truth dict (`bench.data.split.Split.coco`).
        image_ids: ids of N images.
        exits: the exit of each image, int [N], in the order of `image_ids`.
        count: how many exits there are.

    Returns:
        One entry per factor and group.
    """
    return [
        ExitProfile(
            factor=factor,
            group=name,
            images=int(members.sum()),
            exit_share=(np.bincount(exits[members], minlength=count) / members.sum()).tolist(),
        )
        for factor, groups in factors(truth, image_ids).items()
        for name, members in groups.items()
    ]


def factors(truth: Mapping[str, Any], image_ids: Sequence[int]) -> dict[str, Groups]:
    """The groups of images by each factor, at least two per factor and none of them empty.

    Crowd regions do not count as boxes.

    Args:
        truth: a COCO ground-truth dict.
        image_ids: ids of N images.

    Returns:
        For each factor, its groups: bool [N] by name.
    """
    known = {image["id"]: image for image in truth["images"]}
    images = [known[i] for i in image_ids]
    boxes: dict[int, list[Mapping[str, Any]]] = {i: [] for i in known}
    for box in truth["annotations"]:
        if not box["iscrowd"]:
            boxes[box["image_id"]].append(box)
    corners = [xyxy(boxes[i]) for i in image_ids]
    counts = np.array([len(one) for one in corners])
    holds = [{box["category_id"] for box in boxes[i]} for i in image_ids]
    found = {
        "object size": terciles(np.array([object_size(*pair) for pair in zip(corners, images, strict=True)])),
        "objects": {name: (low <= counts) & (counts <= high) for name, (low, high) in COUNTS.items()},
        "crowding": terciles(np.array([crowding(one) for one in corners])),
        "class": {one["name"]: np.array([one["id"] in held for held in holds]) for one in truth["categories"]},
    }
    for name in HARDNESS:
        if all(name in image.get("difficulty", {}) for image in images):
            values = np.array([image["difficulty"][name] for image in images], float)
            found[name] = terciles(np.where(counts == 0, np.nan, values) if name in OF_OBJECTS else values)
    found = {factor: {name: some for name, some in groups.items() if some.any()} for factor, groups in found.items()}
    return {factor: groups for factor, groups in found.items() if len(groups) > 1}


def xyxy(boxes: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """COCO boxes as corners.

    Args:
        boxes: annotations with a bbox x, y, width, height.

    Returns:
        x1, y1, x2, y2, float64 [n, 4].
    """
    corners = np.array([box["bbox"] for box in boxes], float).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return corners


def object_size(boxes: NDArray[np.float64], image: Mapping[str, Any]) -> float:
    """Mean over boxes of the square root of their share of the image's area.

    Args:
        boxes: corners in px, float64 [n, 4].
        image: with width and height in px.

    Returns:
        Size in [0, 1]; nan without boxes.
    """
    if len(boxes) == 0:
        return np.nan
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return float(np.sqrt(area / (image["width"] * image["height"])).mean())


def crowding(boxes: NDArray[np.float64]) -> float:
    """The largest IoU between two boxes.

    Args:
        boxes: corners, float64 [n, 4].

    Returns:
        IoU in [0, 1]; 0 where there are fewer than two boxes.
    """
    if len(boxes) < 2:
        return 0.0
    corners = torch.from_numpy(boxes)
    return float(pairwise_iou(corners[None], corners)[0][0].fill_diagonal_(0).max())


def terciles(values: NDArray[np.float64]) -> Groups:
    """Images grouped by a value, cut where a third and two thirds of them lie below.

    Equal values stay together, so there may be fewer than three groups. The name of each group holds its range.

    Args:
        values: [N]; nan where the value is undefined.

    Returns:
        bool [N] by name; NO_BOXES is the group of undefined values.
    """
    undefined = np.isnan(values)
    groups = {}
    if not undefined.all():
        cuts = np.quantile(values[~undefined], [1 / 3, 2 / 3])
        third = np.where(undefined, -1, np.searchsorted(cuts, values))
        present = np.unique(third[~undefined])
        for name, one in zip(NAMES[len(present)], present, strict=True):
            members = third == one
            groups[f"{name} ({_range(values[members])})"] = members
    return groups | {NO_BOXES: undefined}


def _range(values: NDArray[np.float64]) -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"
