"""SSD heads for an early exit: a small pyramid of their own over one trunk map (a lone map at stride 16 cannot see
large objects), and SSDLite predictors on every level, with the full model's anchors: `pyramid`, or `light`, which
hardly costs anything."""

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
from models.ssdlite.network import ANCHORS_PER_CELL, LEVELS, rows

norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
CONTEXT_CHANNELS = ANCHORS_PER_CELL * (1 + 4)  # per anchor: foreground probability and box code

Attention = Literal["se", "cbam", "none"]


class SpatialAttention(nn.Module):
    """Where to look: a map's channel mean and maximum, seen by one 7x7 convolution, weigh its places. The second half
    of CBAM (Woo et al. 2018); the first is squeeze-and-excitation."""

    def __init__(self):
        super().__init__()
        self.look = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        seen = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        return x * self.look(seen).sigmoid()


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
    """The larger of neighbours, two by two; a map of one place stays as it is, which not every runtime can pool."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.shape[-1] == 1 else F.max_pool2d(x, 2, ceil_mode=True)


def answer(channels: int, outputs: int) -> nn.Conv2d:
    """One pointwise convolution to classes and boxes; at first all but silent."""
    layer = nn.Conv2d(channels, ANCHORS_PER_CELL * (outputs + 4), 1)
    nn.init.normal_(layer.weight, std=0.03)
    nn.init.zeros_(layer.bias)
    return layer


class Predictor(nn.Module):
    """One level's answer: a depthwise 3x3, then one pointwise convolution for classes and boxes. Few layers,
    because on a small map each costs its launch and hardly more."""

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
    """Class logits and box codes over several levels from one trunk map. enter: from that map to the finest level.
    shrink: from each level to the next. predict: a level's answer, one per level. outputs: classes with background."""

    def __init__(self, enter: nn.Module, shrink: Sequence[nn.Module], predict: Sequence[nn.Module], outputs: int):
        super().__init__()
        self.enter, self.shrink, self.predict = enter, nn.ModuleList(shrink), nn.ModuleList(predict)
        self.outputs = outputs

    def forward(self, x: Tensor) -> Raw:
        levels = [self.enter(x)]
        for block in self.shrink:
            levels.append(block(levels[-1]))
        answers = [predict(level) for predict, level in zip(self.predict, levels, strict=True)]
        said = torch.cat([rows(one, self.outputs + 4) for one in answers], dim=1)
        return said[..., : self.outputs], said[..., self.outputs :]

    def answer_layers(self) -> list[nn.Module]:
        """The convolutions whose output channels are classes and box codes."""
        return [getattr(predict, "answer", predict) for predict in self.predict]

    def context(self, logits: Tensor, deltas: Tensor, side: int) -> Tensor:
        """What the finest level said, as a map for the next stage: [N, CONTEXT_CHANNELS, side, side].

        Detached: a deeper exit may read this one's answer but not bend it to its own ends."""
        finest = side * side * ANCHORS_PER_CELL
        foreground = 1 - logits[:, :finest].softmax(-1)[..., :1]
        said = torch.cat([foreground, deltas[:, :finest]], dim=-1).detach()
        return said.reshape(-1, side, side, CONTEXT_CHANNELS).permute(0, 3, 1, 2)


def pyramid(
    channels: int, width: int, outputs: int, levels: int = LEVELS, stride: int = 1, attend: Attention = "se"
) -> ExitHead:
    """The sound head: separable convolutions to `width` channels, attention, and from level to level.

    channels: of the trunk map. stride: between that map and the finest of `levels`."""
    enter = nn.Sequential(separable(channels, width, stride), *attention(attend, width))
    shrink = [separable(width, width, stride=2) for _ in range(levels - 1)]
    return ExitHead(enter, shrink, [Predictor(width, outputs) for _ in range(levels)], outputs)


def light(channels: int, width: int, outputs: int, levels: int = LEVELS, stride: int = 1) -> ExitHead:
    """A head of pointwise convolutions alone, with pooling from level to level. See `pyramid`."""
    enter = Conv2dNormActivation(channels, width, 1, stride, norm_layer=norm, activation_layer=nn.Hardswish)
    shrink = [Halve() for _ in range(levels - 1)]
    return ExitHead(enter, shrink, [answer(width, outputs) for _ in range(levels)], outputs)


def silent_mix(channels: int) -> nn.Conv2d:
    """A convolution from context to what a head reads, which starts at zero."""
    mix = nn.Conv2d(CONTEXT_CHANNELS, channels, 1)
    nn.init.zeros_(mix.weight)
    nn.init.zeros_(mix.bias)
    return mix
