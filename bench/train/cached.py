"""What never changes while a part of a detector trains: a frozen trunk's maps and a teacher's answers, made once of
every training image under a few augmentations and kept in memory as fp16. An epoch over them costs what the trained
part costs, a fraction of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.progress import bar
from bench.train.batches import Batches
from models.detector import Targets


class Prepared:
    """Stands in for `Batches`: its epochs yield tuples of float32 tensors [batch_size, ...] in place of images.

    seeds: of the augmentations, one each. make: images [N, 3, size, size] -> what is kept of them.
    """

    def __init__(
        self,
        batches: Batches,
        seeds: Sequence[int],
        batch_size: int,
        size: int,
        make: Callable[[Tensor], tuple[Tensor, ...]],
    ):
        self._augmented = []
        with bar("preparing what stays frozen", len(seeds)) as advance, torch.no_grad():
            for seed in seeds:
                epoch = batches.epoch(batch_size, seed, size)
                kept = [([half(part) for part in make(x)], targets) for x, targets in epoch]
                parts, targets = zip(*kept, strict=True)
                tensors = [torch.cat(column) for column in zip(*parts, strict=True)]
                self._augmented.append((tensors, joined(targets)))
                advance()

    def epoch(
        self, batch_size: int, seed: int, size: int | None = None
    ) -> Iterator[tuple[tuple[Tensor, ...], Targets]]:
        """Shuffled batches of one augmentation, which the seed chooses. A ragged last batch is left out."""
        tensors, targets = self._augmented[seed % len(self._augmented)]
        count = len(targets.labels)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        batch_size = min(batch_size, count)
        for start in range(0, count - batch_size + 1, batch_size):
            chosen = order[start : start + batch_size]
            yield (
                tuple(whole(part[chosen]) for part in tensors),
                Targets(targets.boxes[chosen], targets.labels[chosen], targets.crowd[chosen]),
            )


def half(part: Tensor) -> Tensor:
    return part.detach().to("cpu", torch.float16)


def whole(part: Tensor) -> Tensor:
    part = part.float()
    return part.contiguous(memory_format=torch.channels_last) if part.ndim == 4 else part


def joined(targets: Sequence[Targets]) -> Targets:
    """The targets of several batches as one, padded to the fullest image of all."""
    most = max(one.labels.shape[1] for one in targets)
    pads = [(0, most - one.labels.shape[1]) for one in targets]
    return Targets(
        torch.cat([F.pad(one.boxes, (0, 0, *pad)) for one, pad in zip(targets, pads, strict=True)]),
        torch.cat([F.pad(one.labels, pad) for one, pad in zip(targets, pads, strict=True)]),
        torch.cat([F.pad(one.crowd, pad) for one, pad in zip(targets, pads, strict=True)]),
    )
