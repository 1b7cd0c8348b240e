"""The linear probe: on the frozen trunk, after every position, one linear layer for classes and boxes. What it finds is
measured as any detector's. Positions learn from the same steps, and none hears of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from bench.accuracy.coco import accuracy, bootstrap_map, ground_truth
from bench.accuracy.matching import Matches, match
from bench.data.split import Split
from bench.experiments.probe.observed import over
from bench.experiments.probe.result import Linear
from bench.stats import corrected_interval
from bench.train.batches import Source
from bench.train.fit import Trainer
from models.detector import Detections, Detector, Raw, Targets
from models.errors import UserError
from models.families import inspector
from models.inspector import FeatureMap
from models.nms import best_of_each
from models.patches import PatchBoxes, PatchHead, PatchLoss
from models.scores import softmax_probabilities
from models.set_loss import centred

FLOOR, NMS_IOU = 0.001, 0.6
SCALE = 0.01  # of the losses: Adam does not mind, and no gradient is so large that all are clipped together


class Probe(nn.Module):
    """One linear layer on cells [N, P, C] of a square map, standardised channel by channel: batch norm with nothing to
    learn, so that one learning rate fits every layer (as He et al. 2022 probe theirs). After training it is a fixed
    shift and scale, and the whole is linear."""

    def __init__(self, channels: int, side: int, outputs: int):
        super().__init__()
        self.norm = nn.BatchNorm1d(channels, eps=1e-8, momentum=None, affine=False)
        self.head = PatchHead(channels, outputs)
        self.boxes = PatchBoxes(side)
        self.loss = PatchLoss(self.boxes)

    def forward(self, cells: Tensor) -> Raw:
        return self.head(self.norm(cells.flatten(0, 1)).view_as(cells))

    @torch.inference_mode()
    def detections(self, cells: Tensor) -> list[Detections]:
        """In the unit square, one entry per image: every cell's best class, without what overlaps a better one."""
        raw = self(cells)
        rows = zip(softmax_probabilities(raw[0]).numpy(), centred(self.boxes(raw[1])).numpy(), strict=True)
        return [Detections(*best_of_each(*row, FLOOR, NMS_IOU)) for row in rows]


@dataclass(frozen=True)
class First:
    """The first `count` images of a source."""

    source: Source
    count: int

    def __len__(self) -> int:
        return min(self.count, len(self.source))

    def image(self, index: int) -> np.ndarray:
        return self.source.image(index)

    def targets(self, indices: Sequence[int]) -> Targets:
        return self.source.targets(indices)


def probed(detector: Detector, after: Sequence[int], seed: int) -> Detector:
    """A copy of the detector that carries an untrained probe for every position, as `probes`."""
    made = detector.clone().eval()
    with torch.inference_mode():
        maps = inspector(made).feature_maps(made, after, torch.zeros(1, 3, made.size, made.size))
    torch.manual_seed(seed)
    outputs = 1 + len(made.classes)
    made.probes = nn.ModuleList(Probe(one.map.shape[1], one.map.shape[-1], outputs) for one in maps)
    return made


def cells(feature_map: FeatureMap) -> Tensor:
    """A feature map as [N, P, C]."""
    return feature_map.map.flatten(2).transpose(1, 2)


def prepare(detector: Detector, images: Tensor, *, after: Sequence[int]) -> tuple[Tensor, ...]:
    """What the frozen trunk gives every probe."""
    return tuple(map(cells, inspector(detector).feature_maps(detector, after, images)))


def objective(
    detector: Detector, maps: Sequence[Tensor], targets: Targets, *, after: Sequence[int]
) -> dict[str, Tensor]:
    """Each probe's losses under names of their own ("3/class", "3/giou", ...), times SCALE."""
    return {
        f"{number}/{name}": SCALE * value
        for number, probe, seen in zip(after, detector.probes, maps, strict=True)
        for name, value in probe.loss(probe(seen), targets).items()
    }


def fit(
    detector: Detector, after: Sequence[int], trainer: Trainer, *, epochs: int, rate: float, views: int
) -> Detector:
    """A copy with trained probes; the trunk is left as it was, and is run once for each view of an image."""
    made = probed(detector, after, trainer.seed)
    new = set(made.probes.modules())
    frozen = tuple(module for module in made.modules() if new.isdisjoint(module.modules()))
    return trainer(
        made,
        name="probe",
        objective=partial(objective, after=after),
        options=f"linear probe after {list(after)}",
        epochs=epochs,
        learning_rate=rate,
        pretrained_modules=frozen,
        pretrained_lr_scale=0.0,
        prepare=partial(prepare, after=after),
        augmentations=views,
    )


def measure(detector: Detector, after: Sequence[int], val: Split, resamples: int, seed: int) -> list[Linear]:
    """Every probe on the whole val split. UserError when there is nothing to find."""
    truth, ids = ground_truth(val.coco()), [example.id for example in val.examples]
    found: list[list[Detections]] = [[] for _ in after]
    for numbers, maps in over(detector, after, val, len(val), "measuring the probes"):
        for answers, probe, one_map in zip(found, detector.probes, maps, strict=True):
            for number, one in zip(numbers, probe.detections(cells(one_map)), strict=True):
                answers.append(one.scaled(val.examples[number].width, val.examples[number].height))
    return [linear([match(truth, ids, answers)], resamples, seed) for answers in found]


def linear(matches: Sequence[Matches], resamples: int, seed: int) -> Linear:
    """mAP and AP50 of one exit's matches, with their intervals."""
    everywhere = np.zeros(len(matches[0].image_ids), int)
    reached = accuracy(matches, everywhere, full=False)
    if reached.map is None or reached.map50 is None:
        raise UserError("no val image has an object to find", where="bench probe", fix="choose other classes or images")

    def bounds(metric: str, value: float) -> tuple[float, float]:
        drawn = bootstrap_map(matches, everywhere, resamples, seed, metric=metric)
        return corrected_interval(np.nan_to_num(drawn), value)

    return Linear(
        map=reached.map,
        map50=reached.map50,
        map_interval=bounds("map", reached.map),
        map50_interval=bounds("map50", reached.map50),
    )
