"""What a conversion left on disk, read twice: by the project's own reader and by pycocotools, which must agree."""

import contextlib
import io
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools.coco import COCO

from bench.data.spec import load
from bench.data.split import ROLES

Found = list[tuple[str, tuple[float, float, float, float], bool]]  # class, x y width height, ignore


def reread(out: Path) -> dict[str, dict[str, Found]]:
    """Per split and image file name, the boxes."""
    data = load(f"coco:{out}")
    return {role: _both(out / f"instances_{role}.json", split) for role, split in zip(ROLES, data.splits, strict=True)}


def _both(path: Path, split) -> dict[str, Found]:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    found: dict[str, Found] = {}
    for i, example in enumerate(split.examples):
        assert split.image(i).shape == (example.height, example.width, 3)
        entries = coco.loadAnns(coco.getAnnIds(imgIds=[example.id], iscrowd=None))
        names = [coco.loadCats(entry["category_id"])[0]["name"] for entry in entries]
        assert names == [split.classes[label - 1] for label in example.labels]
        assert [bool(entry["iscrowd"]) for entry in entries] == example.crowd.tolist()
        xywh = np.array([entry["bbox"] for entry in entries]).reshape(-1, 4)
        corners = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)
        np.testing.assert_allclose(example.boxes, corners, atol=2e-3)
        np.testing.assert_allclose(example.areas, xywh[:, 2] * xywh[:, 3], rtol=1e-5, atol=1e-3)
        found[coco.loadImgs(example.id)[0]["file_name"]] = [
            (name, tuple(entry["bbox"]), bool(entry["iscrowd"])) for name, entry in zip(names, entries, strict=True)
        ]
    return found


def draw(path: Path, width: int, height: int, **options) -> None:
    """An image of noise that differs from path to path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = [*str(path).encode()]
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path, **options)
