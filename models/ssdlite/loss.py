"""The losses of SSD-style training and distillation.

Classification with hard-negative mining and smooth L1 on encoded boxes (Liu et al. 2016, section 2.2), and the distance
from one exit's raw answer to another's.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.detector import Raw, Targets
from models.matching import IGNORED, boxes_of, labels_of, match

BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # torchvision's BoxCoder for SSD


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Boxes as offsets from their anchors, the inverse of `models.ssdlite.network.AnchorBoxes`.

    Args:
        boxes: [..., 4], x1 y1 x2 y2.
        anchors: [..., 4], x1 y1 x2 y2.

    Returns:
        [..., 4], centre shifts in anchor extents and log stretches, multiplied by BOX_WEIGHTS.
    """
    size, anchor_size = boxes[..., 2:] - boxes[..., :2], anchors[..., 2:] - anchors[..., :2]
    centre, anchor_centre = boxes[..., :2] + 0.5 * size, anchors[..., :2] + 0.5 * anchor_size
    shift = (centre - anchor_centre) / anchor_size
    stretch = torch.log(size.clamp(min=1e-6) / anchor_size)
    return torch.cat([shift, stretch], dim=-1) * boxes.new_tensor(BOX_WEIGHTS)


class SSDLoss(nn.Module):
    """Per-exit losses of a batch, matched once for all exits since they share their anchors.

    Args:
        anchors: [A, 4], x1 y1 x2 y2 in the unit square.
        negatives: hardest background anchors kept per positive one.
        assign: (anchors, targets) -> the object of each anchor, as `models.matching.match` gives it.
    """

    anchors: Tensor

    def __init__(self, anchors: Tensor, negatives: int = 3, assign: Callable[[Tensor, Targets], Tensor] = match):
        super().__init__()
        self.register_buffer("anchors", anchors, persistent=False)
        self.negatives = negatives
        self.assign = assign

    def forward(self, raws: list[Raw], targets: Targets) -> list[dict[str, Tensor]]:
        """The losses of every exit.

        Returns:
            One {"class": ..., "box": ...} per exit, each a scalar divided by the number of positive anchors.
        """
        owner = self.assign(self.anchors, targets)
        positive, labels = owner >= 0, labels_of(owner, targets)
        boxes = boxes_of(owner, targets)
        code = encode(boxes, self.anchors.expand(len(owner), -1, -1)[positive])
        return [self._one(raw, labels, positive, owner == IGNORED, code) for raw in raws]

    def distil(self, student: Raw, teacher: Raw) -> dict[str, Tensor]:
        """How far an exit is from a teacher's with the same anchors (`distillation`)."""
        return distillation(student, teacher)

    def _one(self, raw: Raw, labels: Tensor, positive: Tensor, ignored: Tensor, code: Tensor) -> dict[str, Tensor]:
        logits, deltas = raw
        count = positive.sum().clamp(min=1)
        entropy = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
        with torch.no_grad():
            hardness = entropy.masked_fill(positive | ignored, -1.0)
            keep = self.negatives * positive.sum(dim=1, keepdim=True)
            rank = hardness.argsort(dim=1, descending=True).argsort(dim=1)
            chosen = positive | ((rank < keep) & (hardness >= 0))
        box = F.smooth_l1_loss(deltas[positive], code, reduction="sum")
        return {"class": entropy[chosen].sum() / count, "box": box / count}


def distillation(student: Raw, teacher: Raw) -> dict[str, Tensor]:
    """How far a student exit is from its teacher on the anchors where either of them sees an object.

    Kullback-Leibler divergence of the class distributions (Hinton et al. 2015) plus smooth L1 on the box codes, each
    anchor weighted by the larger foreground probability. The teacher gets no gradient.

    Args:
        student: class logits [N, A, 1 + C] and box code [N, A, 4].
        teacher: the same of the teacher, on the same anchors.

    Returns:
        {"class": ..., "box": ...}, a scalar each.
    """
    logits, deltas = student
    goal_logits, goal_deltas = (part.detach() for part in teacher)
    log_p, log_q = logits.log_softmax(-1), goal_logits.log_softmax(-1)
    weight = torch.maximum(1 - log_p.detach()[..., 0].exp(), 1 - log_q[..., 0].exp())
    total = weight.sum().clamp(min=1.0)
    divergence = (log_q.exp() * (log_q - log_p)).sum(-1)
    offset = F.smooth_l1_loss(deltas, goal_deltas, reduction="none").sum(-1)
    return {"class": (divergence * weight).sum() / total, "box": 0.5 * (offset * weight).sum() / total}
