"""Detections as a COCO results file, the form that any COCO tool reads.

The reported mAP is pycocotools' on these very rows, so computed again from the written file it is the same.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.files import replacing
from models.detector import Detections
from models.errors import UserError


def columns(
    image_ids: Sequence[int], detections: Sequence[Detections]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Detections of all images as columns over all D of them.

    x, y and score are the float32 values given; width and height are their differences.

    Args:
        image_ids: ids of the images.
        detections: one entry per image, in the order of `image_ids`.

    Returns:
        Index of the image in `image_ids`, int64 [D]; label, int64 [D]; box, float64 [D, 4] as x, y, width, height in
        px; score, float64 [D].

    Raises:
        UserError: a coordinate or score is not finite.
    """
    counts = np.array([len(found) for found in detections], np.int64)
    place = np.repeat(np.arange(len(image_ids)), counts)
    labels = np.concatenate([np.empty(0, np.int64), *(found.labels for found in detections)])
    scores = np.concatenate([np.empty(0), *(found.scores for found in detections)])
    corners = [found.boxes.reshape(-1, 4) for found in detections]
    boxes = np.concatenate([np.empty((0, 4)), *corners])
    odd = place[~(np.isfinite(boxes).all(1) & np.isfinite(scores))]
    if len(odd):
        raise UserError(
            "the detector answers with numbers that are not finite",
            where=f"image {image_ids[odd[0]]}",
            fix="it diverged in training or was broken by conversion",
        )
    boxes[:, 2:] -= boxes[:, :2]
    return place, labels, boxes, scores


def coco_results(image_ids: Sequence[int], detections: Sequence[Detections]) -> list[dict[str, Any]]:
    """Detections as the rows of a COCO results file.

    The numbers are those of `columns`. Every one is a double and loses nothing in JSON.

    Args:
        image_ids: ids of the images.
        detections: one entry per image, in the order of `image_ids`.

    Returns:
        Rows with image_id, category_id, bbox (x, y, width, height in px) and score.

    Raises:
        UserError: a coordinate or score is not finite.
    """
    place, labels, boxes, scores = columns(image_ids, detections)
    rows = zip(place.tolist(), labels.tolist(), boxes.tolist(), scores.tolist(), strict=True)
    return [{"image_id": int(image_ids[i]), "category_id": c, "bbox": b, "score": s} for i, c, b, s in rows]


def write_json(path: Path, value: Any) -> None:
    """Write a value as gzipped JSON, all of it or nothing; the same value gives the same bytes.

    Args:
        path: the file, replaced if it exists.
        value: anything that `json.dumps` takes.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    with replacing(path) as partial:
        partial.write_bytes(gzip.compress(json.dumps(value, separators=(",", ":")).encode(), mtime=0))
