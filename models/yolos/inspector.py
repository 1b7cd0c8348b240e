"""The inspector of YOLOS: patch tokens after a layer, and what its queries attend to."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from models.detector import Detector
from models.inspector import FeatureMap, Inspector
from models.patches import PATCH
from models.yolos.network import Layer, embed_of, stages_of


def after_layers(detector: Detector, after: Sequence[int], images: Tensor) -> list[FeatureMap]:
    """The patch tokens of a YOLOS after some layers, and how the queries of these layers attend to them.

    Args:
        detector: a YOLOS without dropped patches.
        after: increasing layers, counted from 1.
        images: [N, 3, size, size], as the detector takes them.
    """
    queries, side = stages_of(detector)[0].queries, detector.size // PATCH
    tokens, found = embed_of(detector)(images), []
    for number, layer in enumerate(layers_of(detector)[: max(after)], start=1):
        before, tokens = tokens, layer(tokens)
        if number in after:
            patches = tokens[:, 1:-queries].transpose(1, 2).unflatten(2, (side, side))
            found.append(FeatureMap(patches, of_queries(layer, before, queries).unflatten(1, (side, side))))
    return found


def layers_of(detector: Detector) -> list[Layer]:
    """All layers, in order."""
    return [layer for stage in stages_of(detector) for layer in stage.layers]


def of_queries(layer: Layer, tokens: Tensor, queries: int) -> Tensor:
    """How a layer's queries spread their attention over the patches.

    Args:
        layer: one of the detector's.
        tokens: [N, 1 + P + Q, hidden], before the layer.
        queries: Q, the last of the tokens.

    Returns:
        [N, P], shares of the attention to patches that sum to 1, mean over queries and heads.
    """
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
