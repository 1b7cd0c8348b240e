"""Photograph-like images of a workbench with two things on it that COCO has no class for: bolts and nuts.

They are easy: one or two things of a quarter of the image or more, on grainy wood, under uneven light. Labels are
YOLO's, in one undivided folder, as annotation tools write them.
"""

from pathlib import Path

import cv2
import numpy as np

NAMES = ("bolt", "nut")


def hardware(folder: Path, images: int = 60, seed: int = 0, size: tuple[int, int] = (320, 240)) -> Path:
    """FOLDER/images/*.jpg, FOLDER/labels/*.txt and FOLDER/classes.txt."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    (folder / "classes.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    for number in range(images):
        rng = np.random.default_rng([seed, number])
        picture, lines = _bench(rng, size), []
        halves = rng.permutation(2)[: 1 + int(rng.random() < 0.5)]
        for half in halves:
            kind = int(rng.integers(2))
            lines.append(_thing(picture, rng, kind, int(half)))
        cv2.imwrite(str(folder / "images" / f"img_{number:03d}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
        (folder / "labels" / f"img_{number:03d}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _bench(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Grainy wood under uneven light, uint8 [H, W, 3]."""
    width, height = size
    grain = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), sigmaX=25, sigmaY=1.5)
    grain /= np.abs(grain).max()
    across, down = np.linspace(*rng.uniform(0.75, 1.15, 2), width), np.linspace(*rng.uniform(0.8, 1.1, 2), height)
    light = across[None] * down[:, None]
    wood = np.array(rng.uniform((40, 70, 100), (90, 120, 160)), np.float32)  # BGR
    picture = wood * (1 + 0.25 * grain[..., None]) * light[..., None]
    return np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


def _thing(picture: np.ndarray, rng: np.random.Generator, kind: int, half: int) -> str:
    """Draw a bolt (0) or a nut (1) into the left or right half; its line of labels."""
    height, width = picture.shape[:2]
    radius = rng.uniform(0.16, 0.22) * height
    centre = np.array([width * (0.25 + 0.5 * half), height / 2]) + rng.uniform(-0.1, 0.1, 2) * height
    angle, metal = rng.uniform(0, np.pi), np.array(rng.uniform(165, 220)) * np.array([1.0, 0.98, 0.94])
    turned = [angle + k * np.pi / 3 for k in range(6)]
    hexagon = np.array([[np.cos(a), np.sin(a)] for a in turned])
    mask = np.zeros((height, width), np.uint8)
    if kind == 1:
        cv2.fillPoly(mask, [np.round(centre + radius * hexagon).astype(np.int32)], 255, cv2.LINE_AA)
        cv2.circle(mask, tuple(np.round(centre).astype(int).tolist()), round(radius * 0.5), 0, -1, cv2.LINE_AA)
    else:
        along = np.array([np.cos(angle), np.sin(angle)])
        head = centre - along * radius * 0.7
        cv2.fillPoly(mask, [np.round(head + 0.55 * radius * hexagon).astype(np.int32)], 255, cv2.LINE_AA)
        ends = [tuple(np.round(point).astype(int).tolist()) for point in (head, centre + along * radius * 1.2)]
        cv2.line(mask, *ends, 255, max(2, round(radius * 0.36)), cv2.LINE_AA)
    shine = 1 + 0.25 * np.sin(np.arange(width) / rng.uniform(6, 14))[None, :, None]
    part = mask[..., None] / 255
    picture[:] = np.clip(picture * (1 - part) + metal * shine * part, 0, 255).astype(np.uint8)
    ys, xs = np.nonzero(mask > 127)
    x1, y1, x2, y2 = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    box = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
    return " ".join([str(kind), *(f"{value:.6f}" for value in box)])
