"""The linear probe: on the frozen trunk, after every position, one linear layer for classes and boxes.

What it finds is measured as any detector's. Positions learn in the same steps, and none influences another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from bench.accuracy.coco import accuracy, bootstrap_map, ground_truth
from bench.accuracy.matching import Matches, match
from bench.accuracy.pool import Metric
from bench.data.split import Split
from bench.experiments.probe.features import feature_batches
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


class LinearProbe(nn.Module):
    """One linear layer on the cells of a square map, whose channels are standardised first.

    They are standardised by a batch norm with nothing to learn, so that one learning rate fits every layer (as He et
    al. 2022 probe theirs). After training that is a fixed shift and scale, and the whole is linear.

    Args:
        channels: of the map, C.
        side: of the map, in cells.
        outputs: classes and background.
    """

    def __init__(self, channels: int, side: int, outputs: int):
        super().__init__()
        self.norm = nn.BatchNorm1d(channels, eps=1e-8, momentum=None, affine=False)
        self.head = PatchHead(channels, outputs)
        self.boxes = PatchBoxes(side)
        self.loss = PatchLoss(self.boxes)

    def forward(self, cells: Tensor) -> Raw:
        """The raw answer for cells [N, P, C]: class logits [N, P, 1 + classes], and box code for `PatchBoxes`."""
        return self.head(self.norm(cells.flatten(0, 1)).view_as(cells))

    @torch.inference_mode()
    def detections(self, cells: Tensor) -> list[Detections]:
        """Every cell's best class, without boxes that overlap a better one.

        Args:
            cells: [N, P, C].

        Returns:
            One entry per image, boxes in the unit square.
        """
        raw = self(cells)
        rows = zip(softmax_probabilities(raw[0]).numpy(), centred(self.boxes(raw[1])).numpy(), strict=True)
        return [Detections(*best_of_each(*row, FLOOR, NMS_IOU)) for row in rows]


@dataclass(frozen=True)
class First:
    """The first images of a source, itself a source.

    Attributes:
        source: training images.
        count: how many of them, at most.
    """

    source: Source
    count: int

    def __len__(self) -> int:
        return min(self.count, len(self.source))

    def image(self, index: int) -> np.ndarray:
        """One image, uint8 [h, w, 3]."""
        return self.source.image(index)

    def targets(self, indices: Sequence[int]) -> Targets:
        """The objects of some images."""
        return self.source.targets(indices)


def probed(detector: Detector, after: Sequence[int], seed: int) -> Detector:
    """Copy a detector and give the copy an untrained probe for every position.

    Args:
        detector: the one to copy.
        after: the positions.
        seed: of the probes' weights.

    Returns:
        The copy, in eval mode, with its probes as `probes`.
    """
    made = detector.clone().eval()
    with torch.inference_mode():
        maps = inspector(made).feature_maps(made, after, torch.zeros(1, 3, made.size, made.size))
    torch.manual_seed(seed)
    outputs = 1 + len(made.classes)
    made.probes = nn.ModuleList(LinearProbe(one.map.shape[1], one.map.shape[-1], outputs) for one in maps)
    return made


def probes_of(detector: Detector) -> list[LinearProbe]:
    """The probes that `probed` gave a detector, in the order of the positions."""
    probes = detector.probes
    assert isinstance(probes, nn.ModuleList)
    return [probe for probe in probes if isinstance(probe, LinearProbe)]


def cells(feature_map: FeatureMap) -> Tensor:
    """The cells of a feature map: [N, P, C]."""
    return feature_map.map.flatten(2).transpose(1, 2)


def prepare(detector: Detector, images: Tensor, *, after: Sequence[int]) -> tuple[Tensor, ...]:
    """What the frozen trunk gives each probe: cells [N, P, C] after every position."""
    return tuple(map(cells, inspector(detector).feature_maps(detector, after, images)))


def objective(
    detector: Detector, maps: Sequence[Tensor], targets: Targets, *, after: Sequence[int]
) -> dict[str, Tensor]:
    """The losses of all probes, times SCALE.

    Args:
        detector: as `probed` made it.
        maps: what `prepare` computed, one entry per position.
        targets: the objects of the same images.
        after: the positions.

    Returns:
        "3/class", "3/giou", ... -> a scalar; the number is the position.
    """
    return {
        f"{number}/{name}": SCALE * value
        for number, probe, seen in zip(after, probes_of(detector), maps, strict=True)
        for name, value in probe.loss(probe(seen), targets).items()
    }


def fit(
    detector: Detector, after: Sequence[int], trainer: Trainer, *, epochs: int, learning_rate: float, augmentations: int
) -> Detector:
    """Train a probe for every position.

    The trunk stays as it is, and runs once for each augmentation of an image.

    Args:
        detector: the one to probe, which is copied.
        after: the positions.
        trainer: trains, or finds trained.
        epochs: of the probes.
        learning_rate: its peak.
        augmentations: of each training image.

    Returns:
        The copy with its trained probes.
    """
    made = probed(detector, after, trainer.seed)
    new = {module for probe in probes_of(made) for module in probe.modules()}
    frozen = tuple(module for module in made.modules() if new.isdisjoint(module.modules()))
    return trainer(
        made,
        name="probe",
        objective=partial(objective, after=after),
        options=f"linear probe after {list(after)}",
        epochs=epochs,
        learning_rate=learning_rate,
        pretrained_modules=frozen,
        pretrained_lr_scale=0.0,
        prepare=partial(prepare, after=after),
        augmentations=augmentations,
    )


def measure(detector: Detector, after: Sequence[int], val: Split, resamples: int, seed: int) -> list[Linear]:
    """Measure every probe on the whole val split.

    Args:
        detector: as `fit` made it.
        after: the positions.
        val: the split.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        One entry per position.

    Raises:
        UserError: no image has an object.
    """
    truth, ids = ground_truth(val.coco()), [example.id for example in val.examples]
    found: list[list[Detections]] = [[] for _ in after]
    for numbers, maps in feature_batches(detector, after, val, len(val), "measuring the probes"):
        for answers, probe, one_map in zip(found, probes_of(detector), maps, strict=True):
            for number, one in zip(numbers, probe.detections(cells(one_map)), strict=True):
                answers.append(one.scaled(val.examples[number].width, val.examples[number].height))
    return [linear([match(truth, ids, answers)], resamples, seed) for answers in found]


def linear(matches: Sequence[Matches], resamples: int, seed: int) -> Linear:
    """The mAP and AP50 of one exit's matches, with their 95 % bootstrap intervals over images.

    Raises:
        UserError: no image has an object.
    """
    everywhere = np.zeros(len(matches[0].image_ids), int)
    reached = accuracy(matches, everywhere, full=False)
    if reached.map is None or reached.map50 is None:
        raise UserError("no val image has an object to find", where="bench probe", fix="choose other classes or images")

    def bounds(metric: Metric, value: float) -> tuple[float, float]:
        drawn = bootstrap_map(matches, everywhere, resamples, seed, metric=metric)
        return corrected_interval(np.nan_to_num(drawn), value)

    return Linear(
        map=reached.map,
        map50=reached.map50,
        map_interval=bounds("map", reached.map),
        map50_interval=bounds("map50", reached.map50),
    )
