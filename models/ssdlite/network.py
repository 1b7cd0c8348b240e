"""SSDLite with MobileNetV3-Large (Sandler et al. 2018; Howard et al. 2019) as a chain of stages. The network, its
anchors and its box coder are torchvision's `ssdlite320_mobilenet_v3_large`, taken apart so that it can be cut after
any trunk block; stock weights load strictly, and a chosen class subset slices the 91-way head."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torchvision.models.detection import SSDLite320_MobileNet_V3_Large_Weights, ssdlite320_mobilenet_v3_large
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator

from models.detector import Detections, Detector, Raw, Stage, State, Targets
from models.errors import UserError, unknown
from models.matching import match
from models.nms import postprocess
from models.ssdlite.loss import BOX_WEIGHTS, SSDLoss

COCO_NAMES: tuple[str, ...] = tuple(SSDLite320_MobileNet_V3_Large_Weights.COCO_V1.meta["categories"])
STOCK_SIZE = 320  # px, the input that torchvision trained on
LEVELS = 6
ANCHORS_PER_CELL = 6
SHIFT = 1.0  # anchor extents from an anchor's centre to its box's; beyond it they share no more than an edge
STRETCH = math.log(1000 / 16)  # of a box's side over its anchor's; decoding clamps it there
PLAUSIBLE = torch.tensor([SHIFT, SHIFT, STRETCH, STRETCH]) * torch.tensor(BOX_WEIGHTS)


class AnchorBoxes(nn.Module):
    """Decodes box code: [..., K, 4] relative to the anchors `at` [K] (all of them when None) -> boxes [..., K, 4],
    x1 y1 x2 y2 in the unit square, clipped to it. made_for: see `anchor_grid`."""

    def __init__(self, anchors: Tensor, made_for: int):
        super().__init__()
        self.made_for = made_for
        self.register_buffer("anchors", anchors, persistent=False)
        self.register_buffer("centre", (anchors[:, :2] + anchors[:, 2:]) / 2, persistent=False)
        self.register_buffer("extent", anchors[:, 2:] - anchors[:, :2], persistent=False)
        self.register_buffer("weights", torch.tensor(BOX_WEIGHTS), persistent=False)

    def forward(self, code: Tensor, at: Tensor | None = None) -> Tensor:
        centre, extent = (self.centre, self.extent) if at is None else (self.centre[at], self.extent[at])
        code = code / self.weights
        centre = code[..., :2] * extent + centre
        half = code[..., 2:].clamp(max=STRETCH).exp() * extent / 2
        return torch.cat([centre - half, centre + half], dim=-1).clamp(0, 1)

    def owners(self, raw: Raw, targets: Targets) -> Tensor:
        """Whose each anchor is, by IoU (`models.matching.match`)."""
        return match(self.anchors, targets)

    def implausible(self, code: Tensor) -> Tensor:
        """As `models.detector.Decoder` says. Above 1 a box's centre is more than SHIFT anchor extents away from its
        anchor's, or a side is beyond what decoding allows."""
        return (code.abs() / PLAUSIBLE.to(code.device)).amax(-1)


def select(
    probabilities: Tensor,
    code: Tensor,
    decode: AnchorBoxes,
    *,
    floor: float = 0.001,
    nms_iou: float = 0.55,
    candidates: int = 300,
    most: int = 300,
) -> Detections:
    """One image's NMS, equal to torchvision's SSD postprocess: per class the best `candidates` scores above `floor`,
    non-maximum suppression at `nms_iou`, then the best `most` over all classes. decode: an `AnchorBoxes`."""
    anchors = (decode.centre.numpy(), decode.extent.numpy(), decode.weights.numpy())
    found = postprocess(probabilities.numpy(), code.numpy(), *anchors, floor, nms_iou, candidates, most)
    return Detections(*found)


def rows(answer: Tensor, columns: int) -> Tensor:
    """A level's answer [N, anchors * columns, H, W] -> [N, H * W * anchors, columns], in torchvision's order."""
    return answer.permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, columns))


def joined(*raws: Raw) -> Raw:
    """The answers of one image's levels, finest first, as one."""
    logits, deltas = zip(*raws, strict=True)
    return torch.cat(logits, dim=1), torch.cat(deltas, dim=1)


def pointwise(head: nn.Module) -> list[nn.Module]:
    """The convolutions of torchvision's SSDLite head whose output channels are classes and box codes."""
    return [block[1] for part in head.children() for block in part.module_list]


class FullHead(nn.Module):
    """The stock detector from block 13 on: two trunk levels, four extra levels, and the stock head over all six."""

    def __init__(self, c4: nn.Module, tail: nn.Module, extra: nn.ModuleList, head: nn.Module):
        super().__init__()
        self.c4, self.tail, self.extra, self.head = c4, tail, extra, head

    def forward(self, x: Tensor) -> Raw:
        x = self.c4(x)
        levels = [x, x := self.tail(x)]
        for block in self.extra:
            levels.append(x := block(x))
        answer = self.head(levels)
        return answer["cls_logits"], answer["bbox_regression"]

    def answer_layers(self) -> list[nn.Module]:
        return pointwise(self.head)


class TrunkStage(Stage, Protocol):
    """What every stage of an SSDLite is beside: its trunk can be run without its head, and the head on what the trunk
    has given, so that heads learn on a frozen trunk whose maps are kept."""

    parts: int  # tensors that `trunk` gives
    blocks: nn.Module
    head: nn.Module

    @property
    def trunk(self) -> Callable[..., State]:
        """(*state) -> what the blocks make of it; no head has a say in that."""

    @property
    def read(self) -> Callable[..., tuple[State, Raw]]:
        """(`trunk`'s maps, *the previous exit's context) -> (the context handed on, the exit's answer)."""


class SSDLiteStage(nn.Module):
    """Trunk blocks and the head that reads them. With `context`, the previous exit's context (see `ExitHead.context`)
    is added to what the head reads, through a zero-initialised convolution: a new stage starts as if there were none.
    The trunk itself never reads it: a deeper exit does not depend on the heads passed on the way.

    hands_on: nothing (the last stage), the trunk's map, that and this exit's context, or that and its box code.
    share: of this head in the gradient that reaches the trunk, the deeper exits having the rest; none: all weigh alike.
    """

    temperature: Tensor
    parts = 1

    def __init__(
        self,
        blocks: nn.Module,
        head: nn.Module,
        context: nn.Module | None = None,
        hands_on: Literal["nothing", "map", "map and context", "map and boxes"] = "nothing",
        share: float | None = None,
    ):
        super().__init__()
        self.blocks, self.head, self.mix, self.hands_on, self.share = blocks, head, context, hands_on, share
        self.register_buffer("temperature", torch.ones(()))

    def trunk(self, x: Tensor) -> State:
        """As `TrunkStage`: one map."""
        return (self.blocks(x),)

    def read(self, maps: State, context: Tensor | None = None) -> tuple[State, Raw]:
        """As `TrunkStage`."""
        (x,) = maps
        raw = self.head(x if self.mix is None or context is None else x + self.mix(context))
        logits, deltas = raw
        own: State = ()
        if self.hands_on == "map and context":
            own = (self.head.context(logits, deltas, x.shape[-1]),)
        elif self.hands_on == "map and boxes":
            own = (deltas,)
        return own, (logits / self.temperature, deltas)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[State, Raw]:
        (x,) = self.trunk(x)
        mine, theirs = divided(x, self.share) if self.training and self.share is not None else (x, x)
        own, raw = self.read((mine,), context)
        return () if self.hands_on == "nothing" else (theirs, *own), raw

    def answer_layers(self) -> list[nn.Module]:
        """The convolutions whose output channels must stay: classes, box codes, and where context is mixed in."""
        return self.head.answer_layers() + ([] if self.mix is None else [self.mix])


def divided(x: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """A map twice, unchanged, but that of what flows back the first passes `share` and the second the rest: gradient
    equilibrium (Li et al. 2019), which keeps many exits from adding up in the trunk below them."""
    still = x.detach()
    return still + share * (x - still), still + (1 - share) * (x - still)


def anchor_grid(size: int, made_for: int) -> Tensor:
    """torchvision's SSDLite default boxes: [A, 4], x1 y1 x2 y2 in the unit square of a `size` px input.

    They are as many pixels apart and as many pixels large as on the `made_for` px input that the weights learned on,
    since a convolution sees pixels: laid out anew for 256 px, the boxes of a 320 px person detector fell from mAP
    0.267 to 0.088 on val; kept in pixels, to 0.225.
    """
    steps = [made_for / side for side in level_sides(made_for)]
    generator = DefaultBoxGenerator([[2, 3]] * LEVELS, min_ratio=0.2, max_ratio=0.95, steps=steps)
    centred = generator._grid_default_boxes([[side, side] for side in level_sides(size)], [size, size])
    centre, half = centred[:, :2], centred[:, 2:] / 2 * made_for / size
    return torch.cat([centre - half, centre + half], dim=1)


def level_sides(size: int) -> list[int]:
    """Cells along each side of the six feature levels for a square input: 20, 10, 5, 3, 2, 1 at 320 px."""
    side, sides = math.ceil(size / 16), []
    for _ in range(LEVELS):
        sides.append(side)
        side = math.ceil(side / 2)
    return sides


def stock(outputs: int = len(COCO_NAMES)) -> nn.Module:
    """torchvision's own SSDLite320, untrained, with `outputs` class outputs (background included)."""
    return ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=outputs)


def assemble(model: nn.Module, classes: tuple[str, ...], size: int, made_for: int | None = None) -> Detector:
    """Take torchvision's SSDLite apart into a one-stage Detector that computes exactly the same.

    made_for: the input side in pixels that its weights learned on, if that is not `size`."""
    first, tail = model.backbone.features
    blocks, c4 = first[:-1], first[-1]
    stage = SSDLiteStage(blocks, FullHead(c4, tail, model.backbone.extra, model.head))
    return _with_anchors([stage], classes, size, made_for or size)


def resized(detector: Detector, size: int) -> Detector:
    """A copy with the same weights for square inputs of another size: only the anchors change (see `anchor_grid`)."""
    return _with_anchors(list(detector.clone().stages), detector.classes, size, detector.decoders[0].made_for)


def _with_anchors(stages: Sequence[Stage], classes: tuple[str, ...], size: int, made_for: int) -> Detector:
    anchors = anchor_grid(size, made_for)
    return Detector(stages, AnchorBoxes(anchors, made_for), select, SSDLoss(anchors), classes, size, family="ssdlite")


def slice_classes(model: nn.Module, classes: tuple[str, ...]) -> None:
    """Keep only background and `classes` of a stock 91-way head, in place. Raises UserError for unknown names."""
    for name in classes:
        if name not in COCO_NAMES[1:] or name == "N/A":
            raise unknown("COCO class", name, [n for n in COCO_NAMES[1:] if n != "N/A"], where="classes")
    keep = torch.tensor([0] + [COCO_NAMES.index(name) for name in classes])
    head = model.head.classification_head
    head.num_columns = len(keep)
    for block in head.module_list:
        old = block[1]
        new = nn.Conv2d(old.in_channels, ANCHORS_PER_CELL * len(keep), 1)
        new.weight.data = old.weight.data.unflatten(0, (ANCHORS_PER_CELL, -1))[:, keep].flatten(0, 1)
        new.bias.data = old.bias.data.unflatten(0, (ANCHORS_PER_CELL, -1))[:, keep].flatten()
        block[1] = new


def read_weights(source: str) -> dict[str, Tensor]:
    """A stock state dict from a `.pth` file, or from torchvision's own download when source is "torchvision"."""
    if source == "torchvision":
        try:
            return SSDLite320_MobileNet_V3_Large_Weights.COCO_V1.get_state_dict(progress=True, check_hash=True)
        except (OSError, RuntimeError) as error:
            fix = "give the file itself: --weights FILE.pth"
            raise UserError(f"torchvision's download failed: {error}", where="weights", fix=fix) from error
    path = Path(source)
    if not path.is_file():
        raise UserError("no such weights file", where=source, fix='give a .pth file or "torchvision"')
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0][:120]
        raise UserError(f"not a PyTorch state dict: {reason}", where=source, fix="save one with torch.save") from error


def ssdlite(classes: tuple[str, ...], size: int = 320, weights: str | None = None) -> Detector:
    """A plain one-exit SSDLite for `classes`, untrained or from stock COCO weights (see `read_weights`)."""
    if weights is None:
        return assemble(stock(1 + len(classes)), classes, size)
    model = stock()
    try:
        model.load_state_dict(read_weights(weights), strict=True)
    except (RuntimeError, AttributeError, TypeError) as error:
        lines = str(error).strip().splitlines()
        reason = lines[min(1, len(lines) - 1)].strip()[:120]
        raise UserError(
            f"not the weights of torchvision's ssdlite320_mobilenet_v3_large: {reason}",
            where=weights,
            fix="use a stock COCO state dict with 91 outputs",
        ) from error
    slice_classes(model, classes)
    return assemble(model, classes, size, made_for=STOCK_SIZE)
