"""Weights for YOLOS: transformers' own checkpoints, or a trained trunk.

A checkpoint is given by name or folder and cut to the chosen classes. A trunk is a plain vision transformer's, as a
safetensors file under the same names, to which fresh queries and heads are added.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from models.detector import Detector
from models.errors import UserError, unknown
from models.yolos.network import (
    Embed,
    Layer,
    QueryHead,
    assemble,
    check_size,
    encoder_layers,
    interpolated,
    references,
    untrained,
)

if TYPE_CHECKING:
    from transformers import YolosForObjectDetection

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, with which stock patches were learned


def stock(classes: tuple[str, ...], size: int, source: str) -> Detector:
    """A YOLOS with the weights of one of transformers' checkpoints.

    Input normalisation goes into the patch convolution, and positions are interpolated.

    Args:
        classes: out of those that the checkpoint knows.
        size: side of the square input, in px.
        source: a model's name or folder.

    Raises:
        UserError: for what cannot be loaded, and for unknown classes.
    """
    check_size(size)
    made = from_pretrained(source)
    chosen = rows_of(cast("dict[int, str]", made.config.id2label), classes)
    last = cast("nn.Linear", made.class_labels_classifier.layers[-1])
    keep = torch.tensor([last.out_features - 1, *chosen])  # DETR's "no object" is the last one, here it comes first
    made.class_labels_classifier.layers[-1] = sliced(last, keep)
    vit, queries = made.vit, made.config.num_detection_tokens
    height, width = made.config.image_size
    patch = cast("int", made.config.patch_size)
    before, side = (height // patch, width // patch), size // patch
    mid = vit.encoder.interpolation
    between = [] if mid is None else list(mid.mid_position_embeddings.detach())
    layers = [
        Layer(layer, interpolated(between[number], queries, side, before) if number < len(between) else None)
        for number, layer in enumerate(encoder_layers(made))
    ]
    embeddings = vit.embeddings
    positions = interpolated(embeddings.position_embeddings.detach(), queries, side, before)
    stem = unnormalised(embeddings.patch_embeddings.projection)
    embed = Embed(stem, embeddings.cls_token.detach(), embeddings.detection_tokens.detach(), positions, seeded=False)
    reference = torch.zeros(queries, 4)
    head = QueryHead(vit.layernorm, made.class_labels_classifier, made.bbox_predictor, reference)
    return assemble(embed, layers, head, classes, size)


def from_pretrained(source: str) -> YolosForObjectDetection:
    """Load transformers' model.

    Raises:
        UserError: when there is no such model, here or on the hub.
    """
    from transformers import YolosForObjectDetection  # takes seconds, which SSDLite need not wait

    try:
        return YolosForObjectDetection.from_pretrained(source, attn_implementation="sdpa")
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0][:160]
        fix = "give the name of a YOLOS on the hub, or a folder with its config.json and model.safetensors"
        raise UserError(f"no YOLOS could be loaded: {reason}", where=source, fix=fix) from error


def rows_of(id2label: dict[int, str], classes: tuple[str, ...]) -> list[int]:
    """Which outputs stand for the classes.

    Raises:
        UserError: for a class that the model does not know.
    """
    known = {name: number for number, name in id2label.items() if name != "N/A"}
    for name in classes:
        if name not in known:
            raise unknown("class", name, sorted(known), where="classes")
    return [known[name] for name in classes]


def sliced(layer: nn.Linear, keep: Tensor) -> nn.Linear:
    """The layer with only the outputs `keep`, in that order."""
    made = nn.Linear(layer.in_features, len(keep))
    made.weight.data, made.bias.data = layer.weight.detach()[keep].clone(), layer.bias.detach()[keep].clone()
    return made


def unnormalised(projection: nn.Conv2d) -> nn.Conv2d:
    """A patch convolution for images in [-1, 1], from one for images normalised by ImageNet's mean and deviation.

    It computes exactly the same, having no padding.
    """
    mean, std = (torch.tensor(part)[:, None, None] for part in (MEAN, STD))
    kernel, stride = cast("tuple[int, int]", projection.kernel_size), cast("tuple[int, int]", projection.stride)
    made = nn.Conv2d(3, projection.out_channels, kernel, stride)
    weight = projection.weight.detach()
    made.weight.data = weight * 0.5 / std
    shift = (weight * (0.5 - mean) / std).sum((1, 2, 3))
    made.get_parameter("bias").data = projection.get_parameter("bias").detach() + shift
    return made


def trunk(classes: tuple[str, ...], size: int, kind: str, source: Path, queries: int = 100) -> Detector:
    """A YOLOS around a trained vision transformer.

    Queries stand on a square grid, starting from the patches and positions there; heads are new.

    Args:
        classes: what it is to find.
        size: side of the square input, in px.
        kind: a key of `models.yolos.network.SIZES`.
        source: a safetensors file with transformers' names without `vit.`, and `pos_cls` [1, 1, hidden] and
            `pos_patches` [1, P, hidden] of a square grid.
        queries: how many, a square number.

    Raises:
        UserError: when the file does not fit.
    """
    check_size(size)
    made = untrained(kind, 1 + len(classes), queries, size)
    try:
        state = {name: part.float() for name, part in load_file(source).items()}
        cls, patches = state.pop("pos_cls"), state.pop("pos_patches")
        missing = made.vit.load_state_dict(state, strict=False)
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1].strip()[:160]
        fix = f"give a trunk of {kind} size as safetensors, under transformers' names"
        raise UserError(f"not the weights of such a trunk: {reason}", where=str(source), fix=fix) from error
    lacking = [name for name in missing.missing_keys if not name.endswith(("detection_tokens", "position_embeddings"))]
    if lacking or missing.unexpected_keys:
        what = ", ".join([*lacking, *missing.unexpected_keys][:3])
        fix = f"give a trunk of {kind} size under transformers' names"
        raise UserError(f"not the weights of such a trunk: {what}", where=str(source), fix=fix)
    side, hidden = size // cast("int", made.config.patch_size), made.config.hidden_size
    nowhere = torch.zeros(1, queries, hidden)
    positions = interpolated(torch.cat([cls, patches, nowhere], dim=1), queries, side)
    spots = interpolated(torch.cat([cls, patches, nowhere], dim=1), queries, int(queries**0.5))[:, 1:-queries]
    positions = torch.cat([positions[:, :-queries], spots], dim=1)
    stem = unnormalised(made.vit.embeddings.patch_embeddings.projection)
    embed = Embed(stem, made.vit.embeddings.cls_token.detach(), nowhere, positions, seeded=True)
    head = QueryHead(made.vit.layernorm, made.class_labels_classifier, made.bbox_predictor, references(queries))
    return assemble(embed, [Layer(layer) for layer in encoder_layers(made)], head, classes, size)
