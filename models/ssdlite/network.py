"""SSDLite with MobileNetV3-Large (Sandler et al. 2018; Howard et al. 2019) as a chain of stages.

The network, its anchors and its box coder are torchvision's `ssdlite320_mobilenet_v3_large`, taken apart so that it can
be cut after any trunk block.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, Protocol, cast

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteHead

from models.detector import Detections, Detector, Raw, Stage, State, Targets
from models.matching import match
from models.nms import postprocess
from models.ssdlite.loss import BOX_WEIGHTS, SSDLoss
from models.ssdlite.weights import ANCHORS_PER_CELL, loaded, rows_for, set_classes, stock

STOCK_SIZE = 320  # px, the input that torchvision trained on
LEVELS = 6
CONTEXT_CHANNELS = ANCHORS_PER_CELL * (1 + 4)  # per anchor: foreground probability and box code
SHIFT = 1.0  # anchor extents from an anchor's centre to its box's; beyond it they share no more than an edge
STRETCH = math.log(1000 / 16)  # of a box's side over its anchor's; decoding clamps it there
PLAUSIBLE = torch.tensor([SHIFT, SHIFT, STRETCH, STRETCH]) * torch.tensor(BOX_WEIGHTS)

HandsOn = Literal["nothing", "map", "map and context", "map and boxes"]


class AnchorBoxes(nn.Module):
    """Decodes box code relative to anchors.

    Args:
        anchors: [A, 4], x1 y1 x2 y2 in the unit square.
        made_for: see `anchor_grid`.
    """

    anchors: Tensor
    centre: Tensor
    extent: Tensor
    weights: Tensor

    def __init__(self, anchors: Tensor, made_for: int):
        super().__init__()
        self.made_for = made_for
        self.register_buffer("anchors", anchors, persistent=False)
        self.register_buffer("centre", (anchors[:, :2] + anchors[:, 2:]) / 2, persistent=False)
        self.register_buffer("extent", anchors[:, 2:] - anchors[:, :2], persistent=False)
        self.register_buffer("weights", torch.tensor(BOX_WEIGHTS), persistent=False)

    def forward(self, code: Tensor, at: Tensor | None = None) -> Tensor:
        """Decode box code.

        Args:
            code: [..., K, 4], centre shifts and log stretches, as `models.ssdlite.loss.encode` makes them.
            at: int64 [K], the anchors that the code belongs to; None: all of them.

        Returns:
            [..., K, 4], x1 y1 x2 y2, clipped to the unit square.
        """
        centre, extent = (self.centre, self.extent) if at is None else (self.centre[at], self.extent[at])
        code = code / self.weights
        centre = code[..., :2] * extent + centre
        half = code[..., 2:].clamp(max=STRETCH).exp() * extent / 2
        return torch.cat([centre - half, centre + half], dim=-1).clamp(0, 1)

    def owners(self, raw: Raw, targets: Targets) -> Tensor:
        """The object of each anchor, by IoU (`models.matching.match`)."""
        return match(self.anchors, targets)

    def implausible(self, code: Tensor) -> Tensor:
        """How implausible each box code is (`models.detector.Decoder.implausible`).

        It is above 1 where a box's centre is more than SHIFT anchor extents away from its anchor's, or where a side is
        beyond what decoding allows.
        """
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
    """The answer for one image after non-maximum suppression, equal to torchvision's SSD postprocess.

    Args:
        probabilities: [1 + C, A], background first.
        code: box code [A, 4].
        decode: of the exit that answers.
        floor: scores up to it are dropped.
        nms_iou: boxes of one class that overlap a better one by more than this IoU are dropped.
        candidates: how many of the best scores of each class enter the suppression.
        most: how many detections are kept over all classes.
    """
    anchors = (decode.centre.numpy(), decode.extent.numpy(), decode.weights.numpy())
    found = postprocess(probabilities.numpy(), code.numpy(), *anchors, floor, nms_iou, candidates, most)
    return Detections(*found)


def rows(answer: Tensor, columns: int) -> Tensor:
    """One row per anchor of a level's answer, in torchvision's order.

    Args:
        answer: [N, anchors * columns, H, W].
        columns: values per anchor.

    Returns:
        [N, H * W * anchors, columns].
    """
    return answer.permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, columns))


def joined(*raws: Raw) -> Raw:
    """The answers on an image's levels, finest first, as one."""
    logits, deltas = zip(*raws, strict=True)
    return torch.cat(logits, dim=1), torch.cat(deltas, dim=1)


def context_map(logits: Tensor, deltas: Tensor, side: int) -> Tensor:
    """An exit's answer on its finest level as a map, which the next exit may read: the previous-exit context.

    It is detached: a deeper exit may read this one's answer, but its loss does not change this one.

    Args:
        logits: class logits [N, A, 1 + C], background first.
        deltas: box code [N, A, 4].
        side: cells along each side of the finest level.

    Returns:
        [N, CONTEXT_CHANNELS, side, side].
    """
    finest = side * side * ANCHORS_PER_CELL
    foreground = 1 - logits[:, :finest].softmax(-1)[..., :1]
    context = torch.cat([foreground, deltas[:, :finest]], dim=-1).detach()
    return context.reshape(-1, side, side, CONTEXT_CHANNELS).permute(0, 3, 1, 2)


def pointwise(head: SSDLiteHead) -> list[nn.Module]:
    """The convolutions of torchvision's SSDLite head whose output channels are classes and box codes."""
    return [block[1] for part in head.children() for block in part.module_list]


class FullHead(nn.Module):
    """The stock detector from block 13 on: two trunk levels, four extra levels, and the stock head over all six.

    Args:
        c4: block 13 up to its expansion, whose map is the finest level.
        tail: the rest of the trunk.
        extra: the blocks behind the trunk, one per extra level.
        head: torchvision's, over all levels.
    """

    def __init__(self, c4: nn.Module, tail: nn.Sequential, extra: nn.ModuleList, head: SSDLiteHead):
        super().__init__()
        self.c4, self.tail, self.extra, self.head = c4, tail, extra, head

    def forward(self, x: Tensor) -> Raw:
        """The answer over all levels, from the map [N, C, H, W] at stride 16."""
        x = self.c4(x)
        levels = [x, x := self.tail(x)]
        for block in self.extra:
            levels.append(x := block(x))
        answer = self.head(levels)
        return answer["cls_logits"], answer["bbox_regression"]

    def answer_layers(self) -> list[nn.Module]:
        """The convolutions whose output channels are classes and box codes."""
        return pointwise(self.head)


class Head(Protocol):
    """Answers an image from a trunk's map; a module."""

    def __call__(self, x: Tensor) -> Raw:
        """The answer over all levels, from a map [N, C, H, W]."""

    def answer_layers(self) -> list[nn.Module]:
        """The convolutions whose output channels are classes and box codes."""


class TrunkStage(Stage, Protocol):
    """What a stage of an SSDLite can do beyond a `Stage`: run its trunk without its head, and its head on kept maps.

    This is how heads learn on a frozen trunk whose maps were computed once.
    """

    parts: int  # tensors that `trunk` gives

    @property
    def blocks(self) -> nn.Sequential:
        """The trunk blocks of this stage."""

    @property
    def head(self) -> object:
        """The module that reads the map behind the blocks."""

    @property
    def trunk(self) -> Callable[..., State]:
        """(*state) -> the maps that the blocks make of it, `parts` tensors, which do not depend on any head."""

    @property
    def read(self) -> Callable[..., tuple[State, Raw]]:
        """(maps, *context of the previous exit) -> (the context that the exit hands on, its answer)."""


class SSDLiteStage(nn.Module):
    """Trunk blocks and the head that reads them.

    With `context`, the previous exit's context (`context_map`) is added to what the head reads, through a
    zero-initialised convolution, so that a new stage starts as if there were none. The trunk itself never reads it: a
    deeper exit does not depend on the heads passed on the way.

    Args:
        blocks: of the trunk.
        head: reads the map behind them.
        context: the convolution from the previous exit's context to the channels of that map; None: it reads none.
        hands_on: nothing (the last stage), the trunk's map, that and this exit's context, or that and its box code.
        share: of this head in the gradient that reaches the trunk, in (0, 1], the deeper exits having the rest
            (`divided`); None: all weigh alike.
    """

    head: Head
    temperature: Tensor
    parts = 1

    def __init__(
        self,
        blocks: nn.Sequential,
        head: Head,
        context: nn.Conv2d | None = None,
        hands_on: HandsOn = "nothing",
        share: float | None = None,
    ):
        super().__init__()
        self.blocks, self.head, self.mix, self.hands_on, self.share = blocks, head, context, hands_on, share
        self.register_buffer("temperature", torch.ones(()))

    def trunk(self, x: Tensor) -> State:
        """The one map behind the blocks, as a state."""
        return (self.blocks(x),)

    def read(self, maps: State, context: Tensor | None = None) -> tuple[State, Raw]:
        """The context that the exit hands on, and its answer, from the trunk's map and the previous exit's context."""
        (x,) = maps
        raw = self.head(x if self.mix is None or context is None else x + self.mix(context))
        logits, deltas = raw
        own: State = ()
        if self.hands_on == "map and context":
            own = (context_map(logits, deltas, x.shape[-1]),)
        elif self.hands_on == "map and boxes":
            own = (deltas,)
        return own, (logits / self.temperature, deltas)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[State, Raw]:
        """The next state and the answer, from a map [N, C, H, W] and the previous exit's context."""
        (x,) = self.trunk(x)
        mine, theirs = divided(x, self.share) if self.training and self.share is not None else (x, x)
        own, raw = self.read((mine,), context)
        return () if self.hands_on == "nothing" else (theirs, *own), raw

    def answer_layers(self) -> list[nn.Module]:
        """The convolutions whose output channels must stay: classes, box codes, and where context is mixed in."""
        return self.head.answer_layers() + ([] if self.mix is None else [self.mix])


def divided(x: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """A map twice, unchanged, whose gradients are weighed: gradient equilibrium (Li et al. 2019).

    It keeps the gradients of many exits from adding up in the trunk below them.

    Args:
        x: any shape.
        share: of the gradient that passes through the first of the two, in (0, 1]; the second has the rest.
    """
    still = x.detach()
    return still + share * (x - still), still + (1 - share) * (x - still)


def anchor_grid(size: int, made_for: int) -> Tensor:
    """Default boxes of torchvision's SSDLite for a square input.

    They are as many pixels apart and as many pixels large as on the input that the weights learned on, since a
    convolution sees pixels: laid out anew for 256 px, the boxes of a 320 px person detector fell from mAP 0.267 to
    0.088 on val; kept in pixels, to 0.225.

    Args:
        size: side of the input, in px.
        made_for: side of the input that the weights learned on, in px.

    Returns:
        [A, 4], x1 y1 x2 y2 in the unit square.
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


def trunk_rates(detector: Detector, rate: float, decay: float) -> dict[str, float]:
    """Factors of a learning rate for the blocks up to the finest level; what lies behind them learns as the heads do.

    Where stages have trunks of their own, as in a chain of resolutions, each is counted for itself.

    Args:
        detector: an SSDLite or a chain of them.
        rate: of the last block.
        decay: from each block to the one before it.

    Returns:
        The beginning of parameter names -> the factor.
    """
    trunks: list[list[str]] = []
    for name, stage in detector.named_modules():
        if isinstance(stage, SSDLiteStage):
            first = next((part for part in stage.blocks.modules() if isinstance(part, nn.Conv2d)), None)
            trunks += [[]] if first is not None and first.in_channels == 3 else []  # it reads images
            trunks[-1] += [f"{name}.blocks.{block}" for block, _ in stage.blocks.named_children()]
    return {name: rate * decay**above for names in trunks for above, name in enumerate(reversed(names))}


def assemble(model: SSD, classes: tuple[str, ...], size: int, made_for: int | None = None) -> Detector:
    """Take torchvision's SSDLite apart into a one-stage Detector that computes exactly the same.

    Args:
        model: torchvision's.
        classes: names of its outputs, without background.
        size: side of the square input, in px.
        made_for: the input side in px that its weights learned on, if that is not `size`.
    """
    first, tail = model.backbone.features
    blocks, c4 = first[:-1], first[-1]
    stage = SSDLiteStage(blocks, FullHead(c4, tail, model.backbone.extra, model.head))
    return _with_anchors([stage], classes, size, made_for or size)


def resized(detector: Detector, size: int) -> Detector:
    """A copy with the same weights for square inputs of another size: only the anchors change (`anchor_grid`)."""
    made_for = cast("AnchorBoxes", detector.decoders[0]).made_for
    return _with_anchors(detector.clone().stages, detector.classes, size, made_for)


def _with_anchors(stages: Sequence[Stage], classes: tuple[str, ...], size: int, made_for: int) -> Detector:
    anchors = anchor_grid(size, made_for)
    return Detector(stages, AnchorBoxes(anchors, made_for), select, SSDLoss(anchors), classes, size, family="ssdlite")


def ssdlite(classes: tuple[str, ...], size: int = 320, weights: str | None = None) -> Detector:
    """A plain one-exit SSDLite.

    Args:
        classes: what it is to find.
        size: side of the square input, in px.
        weights: of torchvision's network (`models.ssdlite.weights`); None: untrained.

    Raises:
        UserError: for weights that cannot be read or do not fit.
    """
    if weights is None:
        return assemble(stock(1 + len(classes)), classes, size)
    model = loaded(weights)
    set_classes(model, rows_for(model.head.classification_head.num_columns, classes))
    return assemble(model, classes, size, made_for=STOCK_SIZE)
