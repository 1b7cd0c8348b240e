"""Which anchor is responsible for which box: IoU matching as in SSD (Liu et al. 2016, section 2.2).

An anchor takes the box it overlaps most if IoU >= 0.5, and every box keeps its best anchor. A whole batch is matched at
once.
"""

import torch
from torch import Tensor

from models.detector import Targets

BACKGROUND, IGNORED = -1, -2


def pairwise_iou(boxes: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """IoU of boxes with anchors.

    Args:
        boxes: [N, M, 4], x1 y1 x2 y2.
        anchors: [A, 4], x1 y1 x2 y2.

    Returns:
        IoU [N, M, A], and the share of each anchor that a box covers [N, M, A].
    """
    top_left = torch.maximum(boxes[:, :, None, :2], anchors[:, :2])
    bottom_right = torch.minimum(boxes[:, :, None, 2:], anchors[:, 2:])
    width, height = (bottom_right - top_left).clamp(min=0).unbind(-1)
    overlap = width * height
    box_area = (boxes[..., 2:] - boxes[..., :2]).prod(-1)[..., None]
    anchor_area = (anchors[:, 2:] - anchors[:, :2]).prod(-1)
    return overlap / (box_area + anchor_area - overlap).clamp(min=1e-9), overlap / anchor_area.clamp(min=1e-9)


def match(anchors: Tensor, targets: Targets, threshold: float = 0.5) -> Tensor:
    """The object of each anchor: the index of its box, BACKGROUND (-1) or IGNORED (-2, inside a crowd region).

    Where two boxes share their best anchor the later one keeps it, as in torchvision's SSDMatcher.

    Args:
        anchors: [A, 4], x1 y1 x2 y2 in the unit square.
        targets: of a batch.
        threshold: least IoU of an anchor with its box, and of it with a crowd region to be ignored, in [0, 1].

    Returns:
        int64 [N, A].
    """
    images, most = targets.labels.shape
    if most == 0:
        return torch.full((images, len(anchors)), BACKGROUND, device=anchors.device)
    iou, covered = pairwise_iou(targets.boxes, anchors)
    real = (targets.labels > 0) & ~targets.crowd
    iou = iou.masked_fill(~real[..., None], -1.0)

    best_iou, owner = iou.max(dim=1)
    owner = owner.masked_fill(best_iou < threshold, BACKGROUND)
    in_crowd = (covered.masked_fill(~targets.crowd[..., None], 0.0) > threshold).any(dim=1)
    owner = owner.masked_fill((owner == BACKGROUND) & in_crowd, IGNORED)

    column = torch.arange(most, device=anchors.device).where(real, BACKGROUND)
    keeper = torch.full_like(owner, BACKGROUND).scatter_reduce(1, iou.argmax(dim=2), column, "amax")
    return owner.where(keeper == BACKGROUND, keeper)


def labels_of(owner: Tensor, targets: Targets) -> Tensor:
    """The label of each anchor or query that has an object, 0 of all else: int64 [N, A]."""
    if targets.labels.shape[1] == 0:
        return torch.zeros_like(owner)
    return targets.labels.gather(1, owner.clamp(min=0)) * (owner >= 0)


def boxes_of(owner: Tensor, targets: Targets) -> Tensor:
    """The boxes of all that have an object, in the order of owner[owner >= 0]: [m, 4], x1 y1 x2 y2."""
    if targets.labels.shape[1] == 0:
        return targets.boxes.new_zeros((0, 4))
    return targets.boxes.gather(1, owner.clamp(min=0)[..., None].expand(-1, -1, 4))[owner >= 0]
