"""Weights for YOLOS: transformers' own checkpoints, a state dict of one, or a trained trunk.

A checkpoint is given by name or folder, a state dict as a file; either is fitted to the chosen classes. A trunk is a
plain vision transformer's, as a file under the same names, to which fresh queries and heads are added.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from models.class_rows import COCO_NAMES, Rows, rows_by_count, rows_by_name
from models.detector import Detector
from models.errors import UserError
from models.patches import PATCH
from models.weights import read, reason
from models.yolos.network import (
    SIZES,
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
    from transformers import YolosConfig, YolosForObjectDetection

WEIGHTS = "give a .pth or .safetensors file, a folder that transformers saved, or a model's name"
CLASSES = "class_labels_classifier.layers.2.bias"  # an entry for each output, which only a whole detector has
GRIDS = {1728: (32, 54), 4150: (50, 83), 4200: (50, 84)}  # rows and columns by patches, of the stock checkpoints
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, with which stock patches were learned


def stock(classes: tuple[str, ...], size: int, source: str) -> Detector:
    """A YOLOS with the weights of one of transformers' checkpoints.

    Args:
        classes: what it is to find.
        size: side of the square input, in px.
        source: a model's name or folder.

    Raises:
        UserError: for what cannot be loaded.
    """
    check_size(size)
    made = from_pretrained(source)
    return taken_apart(made, named_rows(made.config, classes), classes, size)


def own(classes: tuple[str, ...], size: int, kind: str, source: str) -> Detector:
    """A YOLOS with the weights in a file, which says nothing of its classes' names but how many there are.

    Args:
        classes: what it is to find.
        size: side of the square input, in px.
        kind: a key of `models.yolos.network.SIZES`.
        source: a state dict of transformers' YolosForObjectDetection (`models.weights.read`).

    Raises:
        UserError: for a file that cannot be read, and for another network.
    """
    check_size(size)
    made = of_state(kind, read(source, WEIGHTS), source)
    return taken_apart(made, counted_rows(count_of(made.config), classes), classes, size)


def taken_apart(made: YolosForObjectDetection, rows: Rows, classes: tuple[str, ...], size: int) -> Detector:
    """A Detector that answers as transformers' model does.

    Input normalisation goes into the patch convolution, and positions are interpolated.

    Args:
        made: the model, which is used up.
        rows: one for each class: the output that stands for it, None for one that begins fresh.
        classes: what it is to find.
        size: side of the square input, in px.
    """
    last = cast("nn.Linear", made.class_labels_classifier.layers[-1])
    made.class_labels_classifier.layers[-1] = class_layer(last, rows, objects_of(made.config))
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
    """Load transformers' model. Pickles are read as tensors only: no code in them is executed.

    Raises:
        UserError: when there is no such model, here or on the hub, and when it is another or lacks a part.
    """
    from transformers import YolosForObjectDetection  # takes seconds, which SSDLite need not wait

    config_of(source)
    try:
        with unreported():
            loaded = YolosForObjectDetection.from_pretrained(
                source, attn_implementation="sdpa", dtype=torch.float32, weights_only=True, output_loading_info=True
            )
    except Exception as error:  # a broken file makes the libraries below raise nearly anything
        mismatch = "ignore_mismatched_sizes" in str(error)
        what = "weights of other sizes than its config.json says" if mismatch else reason(error)
        raise not_loaded(source, what) from error
    made, found = cast("tuple[YolosForObjectDetection, dict[str, set[str]]]", loaded)
    if lacking := sorted(found["missing_keys"]):
        raise not_loaded(source, f"it has no {lacking[0]}")
    return made


@contextmanager
def unreported() -> Iterator[None]:
    """Keep transformers from reporting on what it loads: what is wrong with it is raised, and told in one line."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)


def config_of(source: str) -> YolosConfig:
    """Read what a checkpoint of transformers says of itself.

    Raises:
        UserError: when there is no such model, here or on the hub, and when it is no YOLOS.
    """
    from transformers import YolosConfig

    try:
        config, _ = YolosConfig.get_config_dict(source)
        kind = config.get("model_type")
        if kind == YolosConfig.model_type:
            return YolosConfig.from_dict(config)
    except Exception as error:
        raise not_loaded(source, reason(error)) from error
    raise not_loaded(source, f"its model is {kind}" if kind else "no config.json says what it is")


def not_loaded(source: str, what: str) -> UserError:
    """The error for a name or folder that brings no YOLOS."""
    fix = "give the name of a YOLOS on the hub, or a folder with its config.json and model.safetensors"
    return UserError(f"no YOLOS could be loaded: {what}", where=source, fix=fix)


def of_state(kind: str, state: dict[str, Tensor], source: str) -> YolosForObjectDetection:
    """The model of transformers with the weights of a state dict, by whose shapes it is made.

    Args:
        kind: a key of `models.yolos.network.SIZES`.
        state: by transformers' names.
        source: what an error points at.

    Raises:
        UserError: for another network, and for patches whose grid is not known.
    """
    from transformers import YolosConfig, YolosForObjectDetection

    try:
        tokens, positions = (state[f"vit.embeddings.{name}"] for name in ("detection_tokens", "position_embeddings"))
        outputs, queries = len(state[CLASSES]), tokens.shape[1]
        patches, dimensions = positions.shape[1] - 1 - queries, SIZES[kind]
        made = YolosForObjectDetection(
            YolosConfig(  # type: ignore[call-arg] # num_labels is one of PreTrainedConfig's options
                hidden_size=dimensions.hidden,
                num_hidden_layers=dimensions.layers,
                num_attention_heads=dimensions.heads,
                intermediate_size=dimensions.inner,
                num_detection_tokens=queries,
                image_size=[side * PATCH for side in grid_of(patches, source)],
                patch_size=PATCH,
                num_labels=outputs - 1,
                use_mid_position_embeddings=any("mid_position" in name for name in state),
            )
        )
        made.load_state_dict(state)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        lines = str(error).strip().splitlines()
        what = lines[min(1, len(lines) - 1)].strip()[:160]
        fix = f"give a state dict of transformers' YolosForObjectDetection of {kind} size, or its folder"
        raise UserError(f"not the weights of such a YOLOS: {what}", where=source, fix=fix) from error
    return made


def grid_of(patches: int, source: str) -> tuple[int, int]:
    """Rows and columns of the patches that positions were learned for: stock grids, or a square.

    Raises:
        UserError: for any other number, which could be several grids.
    """
    side = math.isqrt(max(0, patches))
    if patches not in GRIDS and (side == 0 or side**2 != patches):
        what = f"positions for {patches} patches, whose rows and columns are not known"
        raise UserError(what, where=source, fix="give the folder that save_pretrained wrote, whose config.json says it")
    return GRIDS.get(patches, (side, side))


def objects_of(config: YolosConfig) -> list[int]:
    """The outputs that stand for an object: all but "no object", and those that name nothing."""
    names = names_of(config)
    if names is None:
        names = COCO_NAMES if count_of(config) == len(COCO_NAMES) else ("",) * count_of(config)
    return [row for row, name in enumerate(names) if name != "N/A"]


def count_of(config: YolosConfig) -> int:
    """How many outputs a model has, "no object" not counted."""
    return cast("int", config.num_labels)


def names_of(config: YolosConfig) -> tuple[str, ...] | None:
    """The names of a model's outputs without "no object"; None where transformers only numbered them."""
    labels = cast("dict[int, str]", config.id2label)
    names = tuple(labels.get(row, "N/A") for row in range(count_of(config)))
    return None if all(name == f"LABEL_{row}" for row, name in enumerate(names)) else names


def named_rows(config: YolosConfig, classes: tuple[str, ...]) -> Rows:
    """Which outputs of a model stand for the classes, by name where its config has names."""
    names = names_of(config)
    return counted_rows(count_of(config), classes) if names is None else rows_by_name(names, classes)


def counted_rows(objects: int, classes: tuple[str, ...]) -> Rows:
    """Which of so many outputs, "no object" not counted, stand for the classes."""
    return rows_by_count(objects, len(COCO_NAMES), classes, first=0)


def class_layer(layer: nn.Linear, rows: Rows, objects: list[int]) -> nn.Linear:
    """The last layer of a class head for other classes, with background first: DETR has its "no object" last.

    A fresh row begins as the mean of all object rows: an object of no class in particular (docs/log.md).

    Args:
        layer: the model's.
        rows: one for each class: the output that stands for it, None for a fresh one.
        objects: the outputs that stand for objects.
    """
    made = nn.Linear(layer.in_features, 1 + len(rows))
    for mine, theirs in ((made.weight, layer.weight.detach()), (made.bias, layer.bias.detach())):
        fresh = theirs[objects].mean(0)
        mine.data = torch.stack([theirs[-1], *(fresh if row is None else theirs[row] for row in rows)])
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
        source: a file (`models.weights.read`) with transformers' names without `vit.`, and `pos_cls` [1, 1, hidden] and
            `pos_patches` [1, P, hidden] of a square grid.
        queries: how many, a square number.

    Raises:
        UserError: when the file does not fit.
    """
    check_size(size)
    made = untrained(kind, 1 + len(classes), queries, size)
    state = read(str(source), WEIGHTS)
    try:
        cls, patches = state.pop("pos_cls"), state.pop("pos_patches")
        missing = made.vit.load_state_dict(state, strict=False)
    except (KeyError, RuntimeError) as error:
        what = str(error).strip().splitlines()[-1].strip()[:160]
        fix = f"give a trunk of {kind} size under transformers' names"
        raise UserError(f"not the weights of such a trunk: {what}", where=str(source), fix=fix) from error
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
