"""A made-up run as it lies on disk, with the exit tables of a detector whose criteria are known: `max_score` knows how
hard an image is, `margin` says the opposite and `agreement` nothing at all."""

import json
from pathlib import Path

import numpy as np

from bench.accuracy.results import write_json
from bench.exits.path_costs import CriterionCost, PathCosts
from bench.measure.exit_table import ExitTable
from bench.measure.store import save_path_costs, save_table
from bench.records import save
from models.detector import Detections
from tests.support.made import made

NAME = "early_exit-b8-12"
DETECTOR = f"{NAME}-openvino"
SIDE = 200.0
QUALITY = (0.45, 0.75, 0.97)  # share of the boxes that each exit can find, the easiest first
HASHES = {"train": "a" * 64, "val": "b" * 64, "test": "c" * 64}
PATH_COSTS = PathCosts(
    (100_000_000, 200_000_000, 300_000_000),
    (1.0, 2.0, 3.0),
    {name: CriterionCost((0.02, 0.02), (0.01, 0.01)) for name in ("max_score", "margin", "agreement")},
)


def stored_run(folder: Path, *, val: int = 60, test: int = 80, alarms: int = 5, name: str = "made", **measure) -> Path:
    """A run of one detector under FOLDER/NAME; `alarms`: false alarms of each exit on an image. Returns its folder."""
    run = folder / name
    run.mkdir(parents=True)
    asked = {"resamples": 200, "tolerances": [0.02, 0.1], "budgets": [], "risks": [0.05], "cost": "latency", **measure}
    (run / "spec.json").write_text(json.dumps({"name": name, "seed": 3, "measure": asked}))
    for role, images, file in (("val", val, "ground_truth_val.json.gz"), ("test", test, "ground_truth.json.gz")):
        truth, table = world(role, images, alarms)
        save_table(table, run / "tables" / DETECTOR)
        write_json(run / file, truth)
    save_path_costs(PATH_COSTS, run / "tables" / DETECTOR)
    rng = np.random.default_rng(0)
    own = {"strategy": "early_exit", "variant": "b8-12", "runtime": "openvino", "precision": "fp32", "seed": 3}
    own |= {"split_hash": HASHES["test"], "splits": HASHES, "test_images": test}
    exits = [
        {"exit": k, "map": 0.3, "map50": 0.5, "flops": flops, "latency_ms": ms, "temperature": 1.2}
        for k, (flops, ms) in enumerate(zip(PATH_COSTS.flops, PATH_COSTS.ms, strict=True))
    ]
    own |= {"per_exit": exits, "flops_per_exit": PATH_COSTS.flops}
    half = {"exit_share": (0.5, 0.25, 0.25), "flops_mean": 175e6}
    gate = {
        "criterion": "max_score",
        "thresholds": [0.6, None],
        "chosen_on": "val",
        "note": "on val: a promise",
        "promise": True,
    }
    full = {"criterion": None, "thresholds": None, "chosen_on": None, "note": ""}
    for point, how in (("full", full), ("risk5", gate)):
        record = made(
            f"{NAME}-{point}", 0.4, rng.normal(0.4, 0.01, 200), rng.uniform(2.0, 3.0, 20), **own, **half,
            operating_point={"name": point, **how},
        )  # fmt: skip
        save(record, run)
    return run


def world(role: str, images: int, alarms: int) -> tuple[dict, ExitTable]:
    """Ground truth and the exit table: a box on every image, which exit k finds when the image is easier than
    QUALITY[k], better placed at later exits, among false alarms that score lower on the whole."""
    rng = np.random.default_rng(len(role))
    hard = rng.random(images)
    ids = tuple(range(11, 11 + images)) if role == "test" else tuple(range(5001, 5001 + images))
    corners = rng.uniform(10, 60, (images, 2))
    sides = rng.choice([20.0, 60.0, 110.0], (images, 1)) * np.ones((1, 2))
    boxes = np.concatenate([corners, corners + sides], axis=1)
    truth = {
        "images": [{"id": i, "width": int(SIDE), "height": int(SIDE)} for i in ids],
        "annotations": [
            {"id": k + 1, "image_id": i, "category_id": 1, "bbox": [*boxes[k, :2].tolist(), *sides[k].tolist()],
             "area": float(sides[k].prod()), "iscrowd": 0}
            for k, i in enumerate(ids)
        ],
        "categories": [{"id": 1, "name": "person"}],
    }  # fmt: skip
    detections = [
        [answer(boxes[k], hard[k] < good, 0.06 - 0.02 * exit, alarms, rng) for k in range(images)]
        for exit, good in enumerate(QUALITY)
    ]
    knows = np.clip(1 - hard[:, None] + rng.normal(0, 0.05, (images, 3)), 0, 1)
    scores = {"max_score": knows, "margin": 1 - knows, "agreement": rng.random((images, 3))}
    health = {"spread": np.full((images, 3), 0.5), "offset": np.full((images, 3), 0.1)}
    return truth, ExitTable(role, HASHES[role], ids, detections, scores, health)


def answer(box: np.ndarray, hit: bool, sloppy: float, alarms: int, rng: np.random.Generator) -> Detections:
    side = box[2] - box[0]
    found = [box + rng.normal(0, sloppy * side, 4)] if hit else []
    scores = [rng.uniform(0.4, 1.0)] if hit else []
    wrong = rng.uniform(0, SIDE - 40, (alarms, 2))
    found += list(np.concatenate([wrong, wrong + 30], axis=1))
    scores += rng.uniform(0.0, 0.29, alarms).tolist()
    order = np.argsort(scores)[::-1]
    boxes = np.array(found).reshape(-1, 4)[order]
    return Detections(
        boxes.astype(np.float32),
        np.array(scores)[order].astype(np.float32),
        np.ones(len(scores), np.int64),
    )
