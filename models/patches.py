"""What every patch of a square grid says of the object it lies in: classes and distances to the box's sides, given to
patches by where they are (FCOS, Tian et al. 2019). One linear layer reads it. Trunks of transformers learn from it in
training, where a few queries alone teach them little, and it is the linear probe of any trunk."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import generalized_box_iou_loss

from models.detector import Raw, Targets
from models.matching import BACKGROUND, IGNORED, boxes_of, labels_of

PATCH = 16  # px: side of a patch
RADIUS = 1.5  # patches: how far from an object's centre it is still given to a patch
FOCUS = 2.0  # of the focal loss (Lin et al. 2017): easy patches, most of the background, count for little


def centres(side: int) -> Tensor:
    """Centres of a square grid's patches in the unit square: [side * side, 2], row by row."""
    at = (torch.arange(side) + 0.5) / side
    y, x = torch.meshgrid(at, at, indexing="ij")
    return torch.stack([x, y], dim=-1).flatten(0, 1)


class PatchHead(nn.Linear):
    """Patches [N, P, hidden] -> class logits [N, P, outputs], background first, and log distances [N, P, 4]."""

    def __init__(self, hidden: int, outputs: int):
        super().__init__(hidden, outputs + 4)
        nn.init.normal_(self.weight, std=0.01)
        nn.init.zeros_(self.bias)

    def forward(self, patches: Tensor) -> Raw:
        said = super().forward(patches)
        return said[..., :-4], said[..., -4:]


class PatchBoxes(nn.Module):
    """Decodes log distances in patches to the sides left, top, right, bottom: [..., K, 4] of the patches `at` [K], all
    of them when None -> boxes [..., K, 4], x1 y1 x2 y2 in the unit square, clipped to it."""

    def __init__(self, side: int):
        super().__init__()
        self.side = side
        self.register_buffer("centres", centres(side), persistent=False)

    def forward(self, code: Tensor, at: Tensor | None = None) -> Tensor:
        return self.unclipped(code, at).clamp(0, 1)

    def unclipped(self, code: Tensor, at: Tensor | None = None) -> Tensor:
        centre = self.centres if at is None else self.centres[at]
        reach = code.clamp(max=5.0).exp() / self.side
        return torch.cat([centre - reach[..., :2], centre + reach[..., 2:]], dim=-1)

    def owners(self, raw: Raw, targets: Targets) -> Tensor:
        """Whose each patch is (`nearest_inside`)."""
        return nearest_inside(self.centres, self.side, targets)


def nearest_inside(centre: Tensor, side: int, targets: Targets) -> Tensor:
    """For every patch the index of its object, BACKGROUND (-1) or IGNORED (-2, in a crowd region): int64 [N, P].

    A patch whose centre [P, 2] is inside a box and within RADIUS patches of its centre has that object, the smallest of
    several; every object keeps the patch nearest to its centre."""
    images, most = targets.labels.shape
    if most == 0:
        return torch.full((images, len(centre)), BACKGROUND, device=centre.device)
    boxes = targets.boxes[:, :, None]
    inside = ((centre > boxes[..., :2]) & (centre < boxes[..., 2:])).all(-1)
    away = (centre - (boxes[..., :2] + boxes[..., 2:]) / 2).abs().amax(-1)
    real = ((targets.labels > 0) & ~targets.crowd)[..., None]
    area = (targets.boxes[..., 2:] - targets.boxes[..., :2]).prod(-1)[..., None].expand_as(away)
    least, owner = area.masked_fill(~(inside & real & (away * side <= RADIUS)), torch.inf).min(dim=1)
    owner = owner.masked_fill(least.isinf(), BACKGROUND)
    in_crowd = (inside & targets.crowd[..., None]).any(1)
    owner = owner.masked_fill((owner == BACKGROUND) & in_crowd, IGNORED)
    column = torch.arange(most, device=centre.device).where(real[..., 0], BACKGROUND)
    keeper = torch.full_like(owner, BACKGROUND).scatter_reduce(1, away.argmin(dim=2), column, "amax")
    return owner.where(keeper == BACKGROUND, keeper)


class PatchLoss(nn.Module):
    """The loss of a batch of patch answers: focal classes, and GIoU of boxes that have an object."""

    def __init__(self, decode: PatchBoxes):
        super().__init__()
        self.decode = decode

    def forward(self, raw: Raw, targets: Targets, at: Tensor | None = None) -> dict[str, Tensor]:
        """{"class", "giou"}, scalars normalised by the number of patches with an object. at: which patches these are
        [N, K]; all of them when None."""
        logits, code = raw
        owner = self.decode.owners(raw, targets)
        owner = owner if at is None else owner.gather(1, at)
        mine, count = owner >= 0, (owner >= 0).sum().clamp(min=1)
        labels, goal = labels_of(owner, targets), boxes_of(owner, targets)
        entropy = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
        focal = (1 - torch.exp(-entropy)).pow(FOCUS) * entropy * (owner != IGNORED)
        boxes = self.decode.unclipped(code, at)[mine]
        return {"class": focal.sum() / count, "giou": generalized_box_iou_loss(boxes, goal, reduction="sum") / count}
