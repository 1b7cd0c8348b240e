"""A light SSD head for an early exit: squeeze-and-excitation on the trunk map, a small pyramid of its own (one map at
stride 16 cannot see large objects), and SSDLite predictors on all six levels, with the full model's anchors."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation
from torchvision.ops.misc import Conv2dNormActivation

from models.detector import Detector, Raw
from models.ssdlite import ANCHORS_PER_CELL, CUTTABLE, LEVELS, SSDLiteStage

norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
CONTEXT_CHANNELS = ANCHORS_PER_CELL * (1 + 4)  # per anchor: foreground probability and box code


def separable(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    """Depthwise 3x3, then pointwise to `out` channels, both normalised."""
    return nn.Sequential(
        Conv2dNormActivation(
            channels, channels, 3, stride, groups=channels, norm_layer=norm, activation_layer=nn.Hardswish
        ),
        Conv2dNormActivation(channels, out, 1, norm_layer=norm, activation_layer=nn.Hardswish),
    )


class Predictor(nn.Module):
    """One level's answer: a depthwise 3x3, then one pointwise convolution for classes and boxes. Few layers,
    because on a small map each costs its launch and hardly more."""

    def __init__(self, channels: int, outputs: int):
        super().__init__()
        self.look = Conv2dNormActivation(
            channels, channels, 3, groups=channels, norm_layer=norm, activation_layer=nn.ReLU6
        )
        self.answer = nn.Conv2d(channels, ANCHORS_PER_CELL * (outputs + 4), 1)
        self.columns = outputs + 4
        nn.init.normal_(self.answer.weight, std=0.03)
        nn.init.zeros_(self.answer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, H, W] -> [N, H * W * anchors, outputs + 4], in the order of torchvision's SSD heads."""
        return self.answer(self.look(x)).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, self.columns))


class ExitHead(nn.Module):
    """Class logits and box codes over six levels from one trunk map.

    channels: of the trunk map. width: intermediate channels. outputs: classes with background.
    """

    def __init__(self, channels: int, width: int, outputs: int):
        super().__init__()
        self.enter = nn.Sequential(separable(channels, width), SqueezeExcitation(width, width // 4))
        self.shrink = nn.ModuleList(separable(width, width, stride=2) for _ in range(LEVELS - 1))
        self.predict = nn.ModuleList(Predictor(width, outputs) for _ in range(LEVELS))
        self.outputs = outputs

    def forward(self, x: Tensor) -> Raw:
        levels = [self.enter(x)]
        for block in self.shrink:
            levels.append(block(levels[-1]))
        answers = torch.cat([predict(level) for predict, level in zip(self.predict, levels, strict=True)], dim=1)
        return answers[..., : self.outputs], answers[..., self.outputs :]

    def answer_layers(self) -> list[nn.Module]:
        """The convolutions whose output channels are classes and box codes."""
        return [predictor.answer for predictor in self.predict]

    def context(self, logits: Tensor, deltas: Tensor, side: int) -> Tensor:
        """What the finest level said, as a map for the next stage: [N, CONTEXT_CHANNELS, side, side].

        Detached: a deeper exit may read this one's answer but not bend it to its own ends."""
        finest = side * side * ANCHORS_PER_CELL
        foreground = 1 - logits[:, :finest].softmax(-1)[..., :1]
        said = torch.cat([foreground, deltas[:, :finest]], dim=-1).detach()
        return said.reshape(-1, side, side, CONTEXT_CHANNELS).permute(0, 3, 1, 2)


def silent_mix(channels: int) -> nn.Conv2d:
    """A convolution from context to what a head reads, which starts at zero."""
    mix = nn.Conv2d(CONTEXT_CHANNELS, channels, 1)
    nn.init.zeros_(mix.weight)
    nn.init.zeros_(mix.bias)
    return mix


def add_exits(
    detector: Detector, after: tuple[int, ...], widths: tuple[int, ...], context_to_last: bool = True
) -> Detector:
    """A copy of a one-exit SSDLite with exits after the given trunk blocks; its last exit still answers as before.

    after: increasing trunk block indices within 7..12. widths: channels of each exit head. ValueError otherwise.
    context_to_last: whether the last exit too is told what the one before it said; without, it can never change.
    """
    if list(after) != sorted(set(after)) or any(cut not in CUTTABLE for cut in after):
        raise ValueError(f"exits must follow increasing trunk blocks within 7..12, not {after}")
    source = detector.clone()
    (full,) = source.stages
    blocks = list(full.blocks)
    outputs = 1 + len(source.classes)
    stages, start = [], 0
    for cut, width in zip(after, widths, strict=True):
        piece = nn.Sequential(*blocks[start : cut + 1])
        channels = blocks[cut].out_channels
        told = context_to_last or cut != after[-1]
        context = silent_mix(channels) if stages else None
        head = ExitHead(channels, width, outputs)
        stages.append(SSDLiteStage(piece, head, context, "map and context" if told else "map"))
        start = cut + 1
    context = silent_mix(blocks[-1].out_channels) if after and context_to_last else None
    stages.append(SSDLiteStage(nn.Sequential(*blocks[start:]), full.head, context))
    return Detector(stages, source.decode, source.select, source.loss, source.classes, source.size)


def truncated(detector: Detector, after: int, width: int) -> Detector:
    """A one-exit SSDLite that ends after a trunk block: the trunk's weights, and a new exit head. See `add_exits`."""
    whole = add_exits(detector, (after,), (width,))
    stage = SSDLiteStage(whole.stages[0].blocks, whole.stages[0].head)
    return Detector([stage], whole.decode, whole.select, whole.loss, whole.classes, whole.size)
