"""What a trunk has seen after inner positions: the map that a head there would read, and where its attention lies. One
interface for networks whose positions are layers and whose attention is computed, and for those whose positions are
blocks and whose attention has to be read off the map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from models.detector import Detector
from models.patches import PATCH
from models.ssdlite.exits import EARLY, LATE
from models.yolos.network import Layer


@dataclass(frozen=True)
class Look:
    """map: [N, C, h, w], what a head reads there. attention: [N, h, w], nonnegative, summing to 1 per image."""

    map: Tensor
    attention: Tensor


@dataclass(frozen=True)
class Sight:
    """How a family's trunk is looked into. unit: what its positions are called. places: (detector) -> those there are.
    usual: those that are asked when none are named. looks: (one-exit detector, increasing positions, images
    [N, 3, size, size] in [-1, 1]) -> a Look after each; the trunk runs no further than the last of them."""

    unit: str
    places: Callable[[Detector], range]
    usual: tuple[int, ...]
    looks: Callable[[Detector, Sequence[int], Tensor], list[Look]]


def after_layers(detector: Detector, after: Sequence[int], images: Tensor) -> list[Look]:
    """YOLOS: patch tokens after the given layers, counted from 1, and whom the queries of that layer attend to."""
    first, side = detector.stages[0], detector.size // PATCH
    tokens, found = first.embed(images), []
    for number, layer in enumerate(layers_of(detector)[: max(after)], start=1):
        before, tokens = tokens, layer(tokens)
        if number in after:
            patches = tokens[:, 1 : -first.queries].transpose(1, 2).unflatten(2, (side, side))
            found.append(Look(patches, of_queries(layer, before, first.queries).unflatten(1, (side, side))))
    return found


def layers_of(detector: Detector) -> list[Layer]:
    return [layer for stage in detector.stages for layer in stage.layers]


def of_queries(layer: Layer, tokens: Tensor, queries: int) -> Tensor:
    """The share of its attention that a layer's last `queries` tokens pay to each patch, mean over them and over heads,
    of what they pay to patches at all: [N, P]. tokens: [N, 1 + P + Q, hidden], before the layer."""
    attention = layer.layer.attention.attention
    seen = layer.layer.layernorm_before(tokens)

    def heads(part: Tensor) -> Tensor:
        return part.unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)

    asking, asked = heads(attention.query(seen[:, -queries:])), heads(attention.key(seen))
    paid = (asking @ asked.transpose(2, 3) * attention.scaling).softmax(-1)
    return F.normalize(paid[..., 1:-queries].mean((1, 2)), p=1, dim=1)


def after_blocks(detector: Detector, after: Sequence[int], images: Tensor) -> list[Look]:
    """SSDLite: the map after the given trunk blocks. A convolution has no attention of its own; what stands for it is
    the map's energy (`energy`)."""
    (stage,) = detector.stages
    full, x, found = stage.head, images, []
    first, *rest = full.tail
    blocks = [*stage.blocks, nn.Sequential(full.c4, first), *rest]
    for number, block in enumerate(blocks[: max(after) + 1]):
        x = block(x)
        if number in after:
            found.append(Look(x, energy(x)))
    return found


def energy(map: Tensor) -> Tensor:
    """Activation-based attention (Zagoruyko and Komodakis 2017): squares summed over channels, as shares [N, h, w];
    even where a map is all zeros."""
    largest = map.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-30)  # or squares of small maps would be none
    squares = (map / largest).square().sum(1) + 1e-12
    return squares / squares.sum((1, 2), keepdim=True)


LAYERS = Sight("layer", lambda detector: range(1, len(layers_of(detector)) + 1), (3, 6, 9, 12), after_layers)
BLOCKS = Sight("block", lambda detector: range(EARLY.start, LATE.stop), (6, 8, 10, 12, 14, 16), after_blocks)
