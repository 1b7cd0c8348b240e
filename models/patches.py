"""The classes and boxes that the patches of a square grid predict for the object they lie in.

Each patch predicts classes and distances to the box's sides, and objects are given to patches by where they are (FCOS,
Tian et al. 2019). One linear layer reads it. Trunks of transformers learn from it in training, where a few queries
alone give them little to learn from, and it is the linear probe of any trunk.
"""

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
    """The linear layer that answers for each patch.

    Args:
        hidden: width of a patch.
        outputs: classes with background.
    """

    def __init__(self, hidden: int, outputs: int):
        super().__init__(hidden, outputs + 4)
        nn.init.normal_(self.weight, std=0.01)
        nn.init.zeros_(self.bias)

    def forward(self, patches: Tensor) -> Raw:  # type: ignore[override] # a Linear to whoever prunes or quantizes it
        """Patches [N, P, hidden] -> class logits [N, P, outputs], background first, and log distances [N, P, 4]."""
        raw = super().forward(patches)
        return raw[..., :-4], raw[..., -4:]


class PatchBoxes(nn.Module):
    """Decodes log distances, in patches, to the sides left, top, right, bottom of a box.

    Args:
        side: patches along each side of the grid.
    """

    centres: Tensor

    def __init__(self, side: int):
        super().__init__()
        self.side = side
        self.register_buffer("centres", centres(side), persistent=False)

    def forward(self, code: Tensor, at: Tensor | None = None) -> Tensor:
        """Decode log distances.

        Args:
            code: [..., K, 4].
            at: int64 [..., K], the patches that the code belongs to; None: all of them.

        Returns:
            [..., K, 4], x1 y1 x2 y2, clipped to the unit square.
        """
        return self.unclipped(code, at).clamp(0, 1)

    def unclipped(self, code: Tensor, at: Tensor | None = None) -> Tensor:
        """As `forward`, but boxes may reach beyond the unit square, so that they have a gradient there."""
        centre = self.centres if at is None else self.centres[at]
        reach = code.clamp(max=5.0).exp() / self.side
        return torch.cat([centre - reach[..., :2], centre + reach[..., 2:]], dim=-1)

    def owners(self, raw: Raw, targets: Targets) -> Tensor:
        """The object of each patch (`nearest_inside`)."""
        return nearest_inside(self.centres, self.side, targets)


def nearest_inside(centre: Tensor, side: int, targets: Targets) -> Tensor:
    """The object of each patch: its index, BACKGROUND (-1) or IGNORED (-2, in a crowd region).

    A patch whose centre is inside a box and within RADIUS patches of its centre has that object, the smallest of
    several; every object keeps the patch nearest to its centre.

    Args:
        centre: of the patches, [P, 2] in the unit square.
        side: patches along each side of the grid.
        targets: of a batch.

    Returns:
        int64 [N, P].
    """
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
        """The losses of a batch.

        Args:
            raw: class logits [N, K, outputs] and log distances [N, K, 4].
            targets: of the batch.
            at: int64 [N, K], which patches these are; None: all of them.

        Returns:
            {"class", "giou"}, scalars divided by the number of patches with an object.
        """
        logits, code = raw
        owner = self.decode.owners(raw, targets)
        owner = owner if at is None else owner.gather(1, at)
        mine, count = owner >= 0, (owner >= 0).sum().clamp(min=1)
        labels, goal = labels_of(owner, targets), boxes_of(owner, targets)
        entropy = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
        focal = (1 - torch.exp(-entropy)).pow(FOCUS) * entropy * (owner != IGNORED)
        boxes = self.decode.unclipped(code, at)[mine]
        return {"class": focal.sum() / count, "giou": generalized_box_iou_loss(boxes, goal, reduction="sum") / count}
