"""A small dataset in COCO format on disk, valid until a test edits it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.split import ROLES

CATEGORIES = [{"id": 7, "name": "chair"}, {"id": 1, "name": "person"}]  # not in the order of their ids


class CocoDir:
    """DIR/images and DIR/instances_*.json: per role images 10k+1 (a person and a chair) and 10k+2 (empty)."""

    def __init__(self, path: Path):
        self.path = path
        (path / "images").mkdir(parents=True)
        for k, role in enumerate(ROLES):
            entries = [self.draw(10 * k + 1), self.draw(10 * k + 2)]
            boxes = [[1.0, 2.0, 8.0, 6.0], [4.5, 3.0, 10.0, 9.0]]
            annotations = [
                {
                    "id": 5 + i,
                    "image_id": 10 * k + 1,
                    "category_id": c,
                    "bbox": box,
                    "area": 12.5,
                    "iscrowd": 0,
                }
                for i, (c, box) in enumerate(zip((1, 7), boxes, strict=True))
            ]
            content = {"images": entries, "annotations": annotations, "categories": CATEGORIES}
            self.file(role).write_text(json.dumps(content))

    def file(self, role: str) -> Path:
        return self.path / f"instances_{role}.json"

    def draw(self, key: int) -> dict:
        pixels = np.random.default_rng(key).integers(0, 256, (15, 20, 3), np.uint8)
        Image.fromarray(pixels).save(self.path / "images" / f"{key}.png")
        return {"id": key, "file_name": f"{key}.png", "width": 20, "height": 15}

    def edit(self, role: str, change: Callable[[dict], object]) -> None:
        content = json.loads(self.file(role).read_text())
        change(content)
        self.file(role).write_text(json.dumps(content))


@pytest.fixture
def coco_dir(tmp_path: Path) -> CocoDir:
    return CocoDir(tmp_path / "parts")
