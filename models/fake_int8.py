"""Simulated int8, so that a detector's weights can be trained to withstand the real one.

Convolutions and linear layers compute with weights and inputs rounded to 8 bits, and gradients pass straight through
the rounding (Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference). That lasts as long as `FakeInt8` calls the detector, which itself stays in fp32: a runtime quantizes its
weights as any others.

Batch norm is not folded, and need not be: a symmetric scale per output channel grows with the very factor that folding
multiplies into that channel, so weights round alike either way, as long as batch norm keeps its statistics.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call

from models.detector import Detector, Raw

MOMENTUM = 0.01
TINY = 1e-12  # keeps the scale of an all-zero tensor from being zero


class FakeInt8:
    """Calls a detector as if in int8: `FakeInt8(detector, images)(detector, batch)` -> the raw answer of every exit.

    Inputs are rounded to uint8 between the mean, over images, of each image's extremes: what NNCF and ONNX Runtime read
    as well. These ranges come from the calibration images first, and follow the batches while the detector trains. They
    are held here, by layer name, so a clone of the detector can be called with them too.

    Args:
        detector: to be called.
        images: to calibrate on, float32 [1, 3, size, size] each.
        keep: names of layers that stay in fp32.
    """

    def __init__(self, detector: Detector, images: Iterable[Tensor], keep: tuple[str, ...] = ()):
        self.keep = keep
        self.ranges = _calibrate(detector, images)

    def __call__(self, detector: Detector, images: Tensor) -> list[Raw]:
        """The raw answer of every exit, computed as if in int8."""
        layers = {name: layer for name, layer in _layers(detector).items() if name not in self.keep}
        weights = {f"{name}.weight": round_weight(layer.weight) for name, layer in layers.items()}
        with ExitStack() as hooks:
            for name, layer in layers.items():
                hooks.enter_context(layer.register_forward_pre_hook(partial(self._round_input, name)))
            return functional_call(detector, weights, (images,))

    def _round_input(self, name: str, layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        (x,) = inputs
        span = self.ranges[name].to(x.device)
        if layer.training:
            span = self.ranges[name] = span.lerp(extremes(x), MOMENTUM)
        return (round_input(x, span),)


def round_weight(weight: Tensor) -> Tensor:
    """A weight [out, ...] rounded to int8, symmetric, with a scale per output channel."""
    scale = weight.detach().abs().flatten(1).amax(dim=1).clamp(min=TINY) / 127
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -127, 127)


def round_input(x: Tensor, span: Tensor) -> Tensor:
    """An input rounded to uint8 within a range.

    Args:
        x: any shape; cut off outside the range, gradient too.
        span: [2], the ends of the range, which is widened to reach zero.
    """
    low, high = span[0].clamp(max=0), span[1].clamp(min=0)
    scale = (high - low).clamp(min=TINY) / 255
    zero = (-low / scale).round().to(torch.int32)
    return torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, 255)


@torch.no_grad()
def extremes(x: Tensor) -> Tensor:
    """[N, ...] -> the smallest and the largest value of an image, each a mean over the N."""
    inner = tuple(range(1, x.ndim))
    return torch.stack([x.amin(inner).mean(), x.amax(inner).mean()])


def _layers(detector: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    return {name: layer for name, layer in detector.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))}


@torch.no_grad()
def _calibrate(detector: Detector, images: Iterable[Tensor]) -> dict[str, Tensor]:
    """The mean range of every layer's input over `images`, computed in fp32."""
    spans: defaultdict[str, list[Tensor]] = defaultdict(list)
    detector.eval()
    with ExitStack() as hooks:
        for name, layer in _layers(detector).items():
            watch = partial(lambda kept, _, inputs: kept.append(extremes(*inputs)), spans[name])
            hooks.enter_context(layer.register_forward_pre_hook(watch))
        for image in images:
            detector(image)
    return {name: torch.stack(each).mean(dim=0) for name, each in spans.items() if each}
