"""SSD heads for an early exit: `pyramid`, or `light`, which hardly costs anything.

A head is a small pyramid of its own over one trunk map (a lone map at stride 16 cannot see large objects) with SSDLite
predictors on every level, and has the full model's anchors.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation
from torchvision.ops.misc import Conv2dNormActivation

from models.detector import Raw
from models.ssdlite.network import ANCHORS_PER_CELL, CONTEXT_CHANNELS, LEVELS, rows

norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)

Attention = Literal["se", "cbam", "none"]


class SpatialAttention(nn.Module):
    """Weighs the places of a map by one 7x7 convolution over its channel mean and maximum.

    The second half of CBAM (Woo et al. 2018); the first is squeeze-and-excitation.
    """

    def __init__(self):
        super().__init__()
        self.look = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """The map [N, C, H, W], weighed."""
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        return x * self.look(pooled).sigmoid()


def attention(kind: Attention, channels: int) -> list[nn.Module]:
    """Squeeze-and-excitation (Hu et al. 2018), that and spatial attention, or nothing."""
    squeeze = [] if kind == "none" else [SqueezeExcitation(channels, channels // 4)]
    return squeeze + ([SpatialAttention()] if kind == "cbam" else [])


def separable(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    """Depthwise 3x3, then pointwise to `out` channels, both normalised."""
    return nn.Sequential(
        Conv2dNormActivation(
            channels, channels, 3, stride, groups=channels, norm_layer=norm, activation_layer=nn.Hardswish
        ),
        Conv2dNormActivation(channels, out, 1, norm_layer=norm, activation_layer=nn.Hardswish),
    )


class Halve(nn.Module):
    """Halves a map: the largest of neighbours, two by two.

    A map of one place stays as it is, since not every runtime can pool it.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, ceil(H / 2), ceil(W / 2)]."""
        return x if x.shape[-1] == 1 else F.max_pool2d(x, 2, ceil_mode=True)


def answer(channels: int, outputs: int) -> nn.Conv2d:
    """One pointwise convolution to classes and boxes, whose answers start close to zero."""
    layer = nn.Conv2d(channels, ANCHORS_PER_CELL * (outputs + 4), 1)
    nn.init.normal_(layer.weight, std=0.03)
    nn.init.zeros_(layer.get_parameter("bias"))
    return layer


class Predictor(nn.Module):
    """One level's answer: a depthwise 3x3, then one pointwise convolution for classes and boxes.

    Few layers, because on a small map each costs its launch and hardly more.

    Args:
        channels: of the level.
        outputs: classes with background.
    """

    def __init__(self, channels: int, outputs: int):
        super().__init__()
        self.look = Conv2dNormActivation(
            channels, channels, 3, groups=channels, norm_layer=norm, activation_layer=nn.ReLU6
        )
        self.answer = answer(channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, H, W] -> [N, anchors * (outputs + 4), H, W]."""
        return self.answer(self.look(x))


class ExitHead(nn.Module):
    """Class logits and box codes over several levels from one trunk map.

    Args:
        enter: from that map to the finest level.
        shrink: from each level to the next.
        predict: a level's answer, one per level.
        outputs: classes with background.
    """

    def __init__(self, enter: nn.Module, shrink: Sequence[nn.Module], predict: Sequence[nn.Module], outputs: int):
        super().__init__()
        self.enter, self.shrink, self.predict = enter, nn.ModuleList(shrink), nn.ModuleList(predict)
        self.outputs = outputs

    def forward(self, x: Tensor) -> Raw:
        """The answer over all levels, from a trunk map [N, C, H, W]."""
        levels = [self.enter(x)]
        for block in self.shrink:
            levels.append(block(levels[-1]))
        answers = [predict(level) for predict, level in zip(self.predict, levels, strict=True)]
        raw = torch.cat([rows(one, self.outputs + 4) for one in answers], dim=1)
        return raw[..., : self.outputs], raw[..., self.outputs :]

    def answer_layers(self) -> list[nn.Module]:
        """The convolutions whose output channels are classes and box codes."""
        return [getattr(predict, "answer", predict) for predict in self.predict]


def pyramid(
    channels: int, width: int, outputs: int, levels: int = LEVELS, stride: int = 1, attend: Attention = "se"
) -> ExitHead:
    """The sound head: separable convolutions, attention, and from level to level.

    Args:
        channels: of the trunk map.
        width: channels of every level.
        outputs: classes with background.
        levels: how many.
        stride: between the trunk map and the finest level.
        attend: kind of attention on the finest level.
    """
    enter = nn.Sequential(separable(channels, width, stride), *attention(attend, width))
    shrink = [separable(width, width, stride=2) for _ in range(levels - 1)]
    return ExitHead(enter, shrink, [Predictor(width, outputs) for _ in range(levels)], outputs)


def light(channels: int, width: int, outputs: int, levels: int = LEVELS, stride: int = 1) -> ExitHead:
    """A head of pointwise convolutions alone, with pooling from level to level; arguments as of `pyramid`."""
    enter = Conv2dNormActivation(channels, width, 1, stride, norm_layer=norm, activation_layer=nn.Hardswish)
    shrink = [Halve() for _ in range(levels - 1)]
    return ExitHead(enter, shrink, [answer(width, outputs) for _ in range(levels)], outputs)


def silent_mix(channels: int) -> nn.Conv2d:
    """A convolution from context to the channels that a head reads, which starts at zero."""
    mix = nn.Conv2d(CONTEXT_CHANNELS, channels, 1)
    nn.init.zeros_(mix.weight)
    nn.init.zeros_(mix.get_parameter("bias"))
    return mix
