"""YOLOS looked into: patch tokens after a layer, and what its queries attend to."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from models.detector import Detector
from models.inspector import FeatureMap, Inspector
from models.patches import PATCH
from models.yolos.network import Layer, stages_of


def after_layers(detector: Detector, after: Sequence[int], images: Tensor) -> list[FeatureMap]:
    """YOLOS: patch tokens after the given layers, counted from 1, and whom the queries of that layer attend to."""
    first, side = stages_of(detector)[0], detector.size // PATCH
    tokens, found = first.embed(images), []
    for number, layer in enumerate(layers_of(detector)[: max(after)], start=1):
        before, tokens = tokens, layer(tokens)
        if number in after:
            patches = tokens[:, 1 : -first.queries].transpose(1, 2).unflatten(2, (side, side))
            found.append(FeatureMap(patches, of_queries(layer, before, first.queries).unflatten(1, (side, side))))
    return found


def layers_of(detector: Detector) -> list[Layer]:
    return [layer for stage in stages_of(detector) for layer in stage.layers]


def of_queries(layer: Layer, tokens: Tensor, queries: int) -> Tensor:
    """The share of its attention that a layer's last `queries` tokens pay to each patch, mean over them and over heads,
    of what they pay to patches at all: [N, P]. tokens: [N, 1 + P + Q, hidden], before the layer."""
    attention = layer.layer.attention.attention
    normed = layer.layer.layernorm_before(tokens)

    def heads(part: Tensor) -> Tensor:
        return part.unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)

    queried, keys = heads(attention.query(normed[:, -queries:])), heads(attention.key(normed))
    paid = (queried @ keys.transpose(2, 3) * attention.scaling).softmax(-1)
    return F.normalize(paid[..., 1:-queries].mean((1, 2)), p=1, dim=1)


INSPECTOR = Inspector(
    "layer", lambda detector: range(1, len(layers_of(detector)) + 1), usual=(3, 6, 9, 12), feature_maps=after_layers
)
