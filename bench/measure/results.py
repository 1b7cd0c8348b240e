"""Detections as a COCO results file, the form any COCO tool reads. `accuracy` matches these very rows, so mAP
computed anew from the written file is the mAP that was reported."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.files import replacing
from models.detector import Detections
from models.errors import UserError


def coco_results(image_ids: Sequence[int], detections: Sequence[Detections]) -> list[dict[str, Any]]:
    """Detections, one entry per image, as rows of a COCO results file: image_id, category_id, bbox (x, y,
    width, height in px) and score. Every number is a double and loses nothing in JSON: x, y and score are the
    float32 values given, width and height their differences.

    Raises UserError when a coordinate or score is not finite.
    """
    rows: list[dict[str, Any]] = []
    for image_id, found in zip(image_ids, detections, strict=True):
        boxes = found.boxes.detach().cpu().numpy().astype(np.float64).reshape(-1, 4)
        scores = found.scores.detach().cpu().numpy().astype(np.float64)
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise UserError(
                "the detector answers with numbers that are not finite",
                where=f"image {image_id}",
                fix="it diverged in training or was broken by conversion",
            )
        boxes[:, 2:] -= boxes[:, :2]
        columns = zip(found.labels.tolist(), boxes.tolist(), scores.tolist(), strict=True)
        rows += [{"image_id": int(image_id), "category_id": c, "bbox": b, "score": s} for c, b, s in columns]
    return rows


def write_json(path: Path, value: Any) -> None:
    """Write a value as gzipped JSON, all or nothing; the same value gives the same bytes."""
    with replacing(path) as partial:
        partial.write_bytes(gzip.compress(json.dumps(value, separators=(",", ":")).encode(), mtime=0))
