"""Set prediction as in DETR (Carion et al. 2020).

Every object is given to one query, at the smallest total cost, and all other queries learn to answer background.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torchvision.ops import generalized_box_iou_loss

from models.detector import Detections, Raw, Targets
from models.matching import BACKGROUND, IGNORED, boxes_of, labels_of
from models.nms import best_of_each

CLASS, L1, GIOU = 1.0, 5.0, 2.0  # DETR's weights, in the matching and in the loss
OUTSIDE = 0.25  # of the image's side; untrained queries, a third of it large, stick out by a tenth at most
LEAST = 1e-3  # of the image's side: a third of a pixel at 320 px


def corners(boxes: Tensor) -> Tensor:
    """Centre and size [..., 4] -> x1 y1 x2 y2."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def centred(boxes: Tensor) -> Tensor:
    """x1 y1 x2 y2 [..., 4] -> centre and size."""
    return torch.cat([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], dim=-1)


class UnitBoxes(nn.Module):
    """Decodes boxes given as centre and size in the unit square."""

    def forward(self, code: Tensor, at: Tensor | None = None) -> Tensor:
        """[..., K, 4], centre and size -> x1 y1 x2 y2, clipped to the unit square."""
        return corners(code).clamp(0, 1)

    def owners(self, raw: Raw, targets: Targets) -> Tensor:
        """The object of each query (`hungarian`)."""
        return hungarian(raw, targets)

    def implausible(self, code: Tensor) -> Tensor:
        """How implausible each box is (`models.detector.Decoder.implausible`).

        It is above 1 where a box sticks out of the image by more than OUTSIDE of its side, or has a side shorter than
        LEAST of it. A head that ends in a sigmoid cannot leave [0, 1] when it diverges: it runs into the ends, where
        centres lie on the border and sides are all of the image or nothing.
        """
        outside = (corners(code) - 0.5).abs().amax(-1) - 0.5
        small = code[..., 2:].clamp(min=0).log().amin(-1) / math.log(LEAST)
        return torch.maximum(outside / OUTSIDE, small).clamp(min=0)


def select(
    probabilities: Tensor, code: Tensor, decode: UnitBoxes, *, floor: float = 0.001, nms_iou: float = 0.7
) -> Detections:
    """The answer for one image: every query's best class.

    Sets need no suppression once they are learned, but early exits have not learned yet which query answers.

    Args:
        probabilities: [1 + C, Q], background first.
        code: [Q, 4], centre and size in the unit square.
        decode: of the exit that answers; these boxes need none.
        floor: scores up to it are dropped.
        nms_iou: boxes of one class that overlap a better one by more than this IoU are dropped.
    """
    return Detections(*best_of_each(probabilities.numpy(), code.numpy(), floor, nms_iou))


@torch.no_grad()
def hungarian(raw: Raw, targets: Targets) -> Tensor:
    """The object of each query: its index, BACKGROUND (-1) or IGNORED (-2, most of its box inside a crowd region).

    By scipy's assignment (Kuhn 1955); the cost is DETR's: minus probability, L1 and minus GIoU.

    Args:
        raw: class logits [N, Q, 1 + C] and boxes [N, Q, 4], centre and size in the unit square.
        targets: of the batch.

    Returns:
        int64 [N, Q].
    """
    logits, boxes = (part.detach().float() for part in raw)
    owner = torch.full(logits.shape[:2], BACKGROUND, dtype=torch.int64)
    if targets.labels.shape[1] == 0:
        return owner.to(logits.device)
    real = (targets.labels > 0) & ~targets.crowd
    probability = logits.softmax(-1).gather(2, targets.labels[:, None].expand(-1, logits.shape[1], -1))
    distance = torch.cdist(boxes, centred(targets.boxes), p=1)
    overlap, covered = pairwise_giou(corners(boxes), targets.boxes)
    cost = (L1 * distance - CLASS * probability - GIOU * overlap).cpu().numpy()
    for image in np.flatnonzero(real.any(1).cpu().numpy()):
        column = np.flatnonzero(real[image].cpu().numpy())
        queries, objects = linear_sum_assignment(np.nan_to_num(cost[image][:, column], nan=1e6))
        owner[image, queries] = torch.from_numpy(column[objects])
    crowd = (covered.masked_fill(~targets.crowd[:, None], 0) > 0.5).any(-1).cpu()
    return owner.masked_fill((owner == BACKGROUND) & crowd, IGNORED).to(logits.device)


def pairwise_giou(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Generalised IoU (Rezatofighi et al. 2019) of boxes with others.

    Args:
        boxes: [N, Q, 4], x1 y1 x2 y2.
        others: [N, M, 4], x1 y1 x2 y2.

    Returns:
        GIoU [N, Q, M], and the share of each of `boxes` that one of `others` covers [N, Q, M].
    """
    a, b = boxes[:, :, None], others[:, None]
    overlap = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    area_a, area_b = ((part[..., 2:] - part[..., :2]).prod(-1) for part in (a, b))
    union = area_a + area_b - overlap
    iou = overlap / union.clamp(min=1e-9)
    return iou - (hull - union) / hull.clamp(min=1e-9), overlap / area_a.clamp(min=1e-9)


class SetLoss(nn.Module):
    """Per-exit losses of a batch, every exit matched for itself.

    Everything is divided by the number of objects. DETR divides classes by the sum of the queries' weights, a third as
    much where images have few objects: AP50 on generated images was 0.24 that way and is 0.34 this way (after 12,000
    training images).

    Args:
        no_object: weight of a query that has no object.
    """

    def __init__(self, no_object: float = 0.1):
        super().__init__()
        self.no_object = no_object

    def forward(self, raws: list[Raw], targets: Targets) -> list[dict[str, Tensor]]:
        """One {"class", "l1", "giou"} per exit, scalars under DETR's weights."""
        return [self.one(raw, hungarian(raw, targets), targets) for raw in raws]

    def one(self, raw: Raw, owner: Tensor, targets: Targets) -> dict[str, Tensor]:
        """The losses of one exit.

        Args:
            raw: class logits [N, Q, 1 + C] and boxes [N, Q, 4].
            owner: the object of each query, int64 [N, Q], as `hungarian` gives it.
            targets: of the batch.

        Returns:
            {"class", "l1", "giou"}, scalars under DETR's weights.
        """
        logits, boxes = raw
        mine, count = owner >= 0, (owner >= 0).sum().clamp(min=1)
        labels, goal = labels_of(owner, targets), boxes_of(owner, targets)
        weight = torch.where(mine, 1.0, self.no_object) * (owner != IGNORED)
        entropy = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(weight)
        giou = generalized_box_iou_loss(corners(boxes[mine]), goal, reduction="sum")
        return {
            "class": CLASS * (entropy * weight).sum() / count,
            "l1": L1 * (boxes[mine] - centred(goal)).abs().sum() / count,
            "giou": GIOU * giou / count,
        }

    def distil(self, student: Raw, teacher: Raw) -> dict[str, Tensor]:
        """How far a student's queries are from a teacher's, query by query.

        Kullback-Leibler divergence of the classes (Hinton et al. 2015), L1 and GIoU of the boxes where either sees an
        object. The teacher gets no gradient.

        Args:
            student: class logits [N, Q, 1 + C] and boxes [N, Q, 4].
            teacher: the same of the teacher.

        Returns:
            {"class", "l1", "giou"}, scalars under DETR's weights.
        """
        logits, boxes = student
        goal_logits, goal = (part.detach() for part in teacher)
        log_p, log_q = logits.log_softmax(-1), goal_logits.log_softmax(-1)
        weight = torch.maximum(1 - log_p.detach()[..., 0].exp(), 1 - log_q[..., 0].exp())
        total = weight.sum().clamp(min=1.0)
        giou = generalized_box_iou_loss(corners(boxes), corners(goal), reduction="none")
        return {
            "class": CLASS * ((log_q.exp() * (log_q - log_p)).sum(-1) * weight.clamp(min=self.no_object)).sum() / total,
            "l1": L1 * ((boxes - goal).abs().sum(-1) * weight).sum() / total,
            "giou": GIOU * (giou * weight).sum() / total,
        }
