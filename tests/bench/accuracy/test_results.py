"""Rows of a COCO results file, and writing them all or nothing."""

import gzip
import json

import numpy as np
import pytest

from bench.accuracy.results import coco_results, write_json
from models.detector import Detections


def test_rows_survive_the_file_unchanged(tmp_path):
    rng = np.random.default_rng(0)
    boxes, scores = rng.uniform(0, 448, (50, 4)), rng.random(50)
    one = Detections(np.float32(boxes), np.float32(scores), np.arange(50) + 1)
    rows = coco_results([7], [one])
    path = tmp_path / "new" / "results.json.gz"
    write_json(path, rows)
    assert json.loads(gzip.decompress(path.read_bytes())) == rows
    assert np.array_equal(np.float32([row["score"] for row in rows]), one.scores)
    before = path.read_bytes()
    write_json(path, rows)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["results.json.gz"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "results.json.gz"
    write_json(path, [])
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_json(path, [{"image_id": 1}])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_rows_hold_width_and_height():
    one = Detections(np.float32([[1.5, 2.0, 4.0, 10.0]]), np.float32([0.5]), np.array([3]))
    assert coco_results([9], [one]) == [{"image_id": 9, "category_id": 3, "bbox": [1.5, 2.0, 2.5, 8.0], "score": 0.5}]
