"""Made-up records, where whatever a test does not plant is that of a stored one; and detectors whose answers are
planted as detections, with everything from the matching to the record computed as in a run."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.accuracy.coco import accuracy, bootstrap_map, ground_truth
from bench.accuracy.matching import Matches, match
from bench.records import Record
from bench.stats import interval
from models.detector import Detections

STORED = json.loads((Path(__file__).parent / "record.json").read_text())
FAST, SLOW = 2.0, 4.0  # ms of the two exits
STATIC = {"name": "full", "criterion": None, "thresholds": None, "chosen_on": None, "note": ""}
SINGLE = {
    "operating_point": STATIC,
    "per_exit": [STORED["per_exit"][-1] | {"exit": 0}],
    "flops_per_exit": STORED["flops_per_exit"][-1:],
    "flops_mean": STORED["flops_per_exit"][-1],
    "exit_share": [1.0],
}  # of a detector with one exit; STORED is a gate between two


def always(exit: int) -> dict:
    """What is so of the stored detector with two exits when one of them answers every image."""
    share = [float(k == exit) for k in range(2)]
    return {"operating_point": STATIC, "exit_share": share, "flops_mean": STORED["flops_per_exit"][exit]}


def made(name: str, ap: float, replicates: np.ndarray, ms: Sequence[float], **changes) -> Record:
    """A record of strategy NAME-..., with these bootstrap replicates of its mAP, timed once on each of some images:
    ms [images]. With "exit" in the strategy it is a gate between two exits, otherwise a detector with one."""
    p50, p90, p99 = np.percentile(ms, [50, 90, 99])
    wide = dict.fromkeys(("mean_interval", "p50_interval", "p90_interval", "p99_interval"), (min(ms), max(ms)))
    times = {"mean": np.mean(ms), "p50": p50, "p90": p90, "p99": p99, "samples": list(ms), "images": range(len(ms))}
    own = {
        "name": name,
        "strategy": name.partition("-")[0],
        "map": ap,
        "map_bootstrap": np.asarray(replicates).tolist(),
        "map_interval": interval(replicates),
        "latency_ms": {**STORED["latency_ms"], **wide, **times},
    }
    exits = {} if "exit" in changes.get("strategy", own["strategy"]) else SINGLE
    return Record.model_validate({**STORED, **exits, **own, **changes})


def matched(boxes: Sequence[Sequence[np.ndarray]], scores: Sequence[Sequence[np.ndarray]]) -> list[Matches]:
    """Every exit's matches on images with one box each, x and y from 10 to 60: boxes[exit][image] float [n, 4] as
    x1, y1, x2, y2 and scores[exit][image] float [n]."""
    images = range(len(boxes[0]))
    truth = ground_truth(
        {
            "images": [{"id": i, "width": 100, "height": 100} for i in images],
            "annotations": [
                {"id": i + 1, "image_id": i, "category_id": 1, "bbox": [10, 10, 50, 50], "area": 2500, "iscrowd": 0}
                for i in images
            ],
            "categories": [{"id": 1, "name": "a"}],
        }
    )

    def detected(box: np.ndarray, score: np.ndarray) -> Detections:
        return Detections(np.float32(box), np.float32(score), np.ones(len(score), np.int64))

    return [match(truth, images, list(map(detected, *exit))) for exit in zip(boxes, scores, strict=True)]


def two_exits(images: int, rng: np.random.Generator) -> tuple[list[Matches], np.ndarray]:
    """The first exit finds the box on half of the images, the second on four in five, whatever the first does. There
    are no false alarms, so mAP is the share found. Returns their matches, and bool [images], where the first finds it.
    """
    hits = (rng.random((2, images)) < [[0.5], [0.8]]).astype(int)
    box = np.array([[10, 10, 60, 60]])
    scores = rng.random((2, images, 1))
    return matched(
        [[box[:hit] for hit in exit] for exit in hits],
        [[score[:hit] for hit, score in zip(*exit, strict=True)] for exit in zip(hits, scores, strict=True)],
    ), hits[0] == 1


def routed(matches: Sequence[Matches], exits: np.ndarray, rng: np.random.Generator, resamples: int) -> list[Record]:
    """Three records of one run: `baseline`, the second exit alone, `truncate`, the first, and `early_exit`, whose
    images leave at `exits` [images]. Times are noisy, in part alike for all three."""
    images = len(exits)
    machine = rng.normal(0, 0.1, images)

    def seen(name: str, exits: np.ndarray) -> Record:
        replicates = bootstrap_map(matches, exits, resamples, seed=STORED["seed"])
        ms = np.where(exits, SLOW, FAST) + machine + rng.normal(0, 0.1, images)
        ap = accuracy(matches, exits, full=False).map
        return made(name, ap, replicates, ms.tolist(), test_images=images)

    first, last = np.zeros(images, int), np.ones(images, int)
    return [seen("baseline", last), seen("truncate", first), seen("early_exit", exits)]


def gate(found: np.ndarray, knows: float, rng: np.random.Generator) -> np.ndarray:
    """Exits of a gate on `two_exits`: an image leaves at the first with probability `knows` where that found the box,
    1 - knows elsewhere; half of them do.

    knows = 0.5 is a coin, exactly as good as the line between the two exits; 1 knows everything, 0 errs always. At
    3 ms, halfway, the line's mAP is 0.65 and the gate's 0.5 * knows + 0.4.
    """
    return (rng.random(len(found)) >= np.where(found, knows, 1 - knows)).astype(int)
