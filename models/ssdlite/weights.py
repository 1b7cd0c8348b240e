"""Weights of torchvision's SSDLite: the stock ones or one's own, with any number of class outputs.

Trunk, box head and the background's row are kept as they are. Rows of known classes are taken over, those of other
classes begin fresh.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.detection import SSDLite320_MobileNet_V3_Large_Weights, ssdlite320_mobilenet_v3_large
from torchvision.models.detection.ssd import SSD

from models import weights
from models.class_rows import COCO_NAMES, Rows, known_by_order, rows_by_count
from models.errors import UserError

ANCHORS_PER_CELL = 6
NAME = "ssdlite320_mobilenet_v3_large"
WEIGHTS = 'give a .pth or .safetensors file, or "torchvision"'
DOWNLOAD = "torchvision"
LAST = "head.classification_head.module_list.0.1.bias"  # an entry for each anchor of a cell and each output


def stock(outputs: int = len(COCO_NAMES)) -> SSD:
    """The SSDLite320 of torchvision, untrained, with `outputs` class outputs (background included)."""
    return ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=outputs)


def read_weights(source: str) -> dict[str, Tensor]:
    """A state dict of torchvision's network.

    Args:
        source: a file (`models.weights.read`), or "torchvision" for torchvision's own download.

    Raises:
        UserError: when the download fails, when there is no such file, and when it is no state dict.
    """
    if source != DOWNLOAD:
        return weights.read(source, WEIGHTS)
    try:
        return SSDLite320_MobileNet_V3_Large_Weights.COCO_V1.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        fix = 'give the file itself: --weights FILE.pth, or "none" to train from scratch'
        raise UserError(f"torchvision's download failed: {error}", where="weights", fix=fix) from error


def outputs_of(state: dict[str, Tensor], source: str) -> int:
    """How many class outputs a state dict's network has, background included.

    Args:
        state: by name.
        source: what an error points at.

    Raises:
        UserError: for another network.
    """
    if "stages.0.temperature" in state:
        what = "a checkpoint of a run, which does not say what input its anchors were made for"
        raise UserError(what, where=source, fix="go on with its run: --resume; or give what that run started from")
    entries = len(state[LAST]) if LAST in state and state[LAST].ndim == 1 else 0
    outputs, left = divmod(entries, ANCHORS_PER_CELL)
    if outputs < 2 or left:
        what = f"it has no {LAST}" if not entries else f"{entries} entries in {LAST}"
        raise not_these(source, what)
    return outputs


def loaded(source: str) -> SSD:
    """The network of torchvision with the weights of a file, and as many class outputs as these have.

    Args:
        source: as of `read_weights`.

    Raises:
        UserError: for weights that cannot be read, and for another network.
    """
    state = read_weights(source)
    model = stock(outputs_of(state, source))
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        lines = str(error).strip().splitlines()
        raise not_these(source, lines[min(1, len(lines) - 1)].strip()[:120]) from error
    return model


def not_these(source: str, what: str) -> UserError:
    """The error for weights of another network."""
    return UserError(f"not the weights of torchvision's {NAME}: {what}", where=source, fix="use a state dict of it")


def in_order(source: str, classes: tuple[str, ...]) -> bool:
    """Whether the outputs of some weights stand for the classes by their order alone.

    Raises:
        UserError: for weights that cannot be read, and for another network.
    """
    if source == DOWNLOAD:
        return False
    return known_by_order(outputs_of(read_weights(source), source) - 1, len(COCO_NAMES) - 1, classes)


def rows_for(outputs: int, classes: tuple[str, ...]) -> Rows:
    """Which of the outputs stand for the classes; output 0 is the background."""
    return rows_by_count(outputs - 1, len(COCO_NAMES) - 1, classes, first=1)


def rows_in(source: str, classes: tuple[str, ...]) -> Rows:
    """Which outputs of some weights stand for the classes; nothing is downloaded to know it.

    Raises:
        UserError: for weights that cannot be read, and for another network.
    """
    outputs = len(COCO_NAMES) if source == DOWNLOAD else outputs_of(read_weights(source), source)
    return rows_for(outputs, classes)


def set_classes(model: SSD, rows: Rows) -> None:
    """Give the class head background and some classes as its outputs, in place.

    A fresh row begins as the mean of all named object rows: an object of no class in particular (docs/log.md).

    Args:
        model: torchvision's.
        rows: one for each class: the output that stands for it, None for a fresh one.
    """
    head = model.head.classification_head
    outputs = head.num_columns
    objects = [n for n in range(1, outputs) if outputs != len(COCO_NAMES) or COCO_NAMES[n] != "N/A"]
    head.num_columns = 1 + len(rows)
    for block in head.module_list:
        old: nn.Conv2d = block[1]
        new = nn.Conv2d(old.in_channels, ANCHORS_PER_CELL * head.num_columns, 1)
        for mine, theirs in ((new.weight, old.weight), (new.get_parameter("bias"), old.get_parameter("bias"))):
            each = theirs.detach().unflatten(0, (ANCHORS_PER_CELL, outputs))
            fresh = each[:, objects].mean(1)
            parts = [each[:, 0], *(fresh if row is None else each[:, row] for row in rows)]
            mine.data = torch.stack(parts, 1).flatten(0, 1)
        block[1] = new
