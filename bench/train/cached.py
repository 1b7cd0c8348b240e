"""What never changes while a part of a detector trains: a frozen trunk's maps and a teacher's answers.

They are computed once for every training image under a few augmentations and kept in memory as fp16. An epoch over them
costs what the trained part costs, a fraction of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.progress import bar
from bench.train.batches import Epochs
from models.detector import Targets


class Prepared:
    """Prepared tensors that stand in for `Batches`.

    Its epochs yield tuples of float32 tensors [batch_size, ...] in place of images.

    Args:
        batches: the training images.
        seeds: one for each augmentation to prepare.
        batch_size: images per call of `make`.
        size: side of the images in px.
        make: maps images [N, 3, size, size] to what is kept of them.
    """

    def __init__(
        self,
        batches: Epochs,
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
        """Shuffled batches of one augmentation. A last batch that would be smaller is left out.

        Args:
            batch_size: images per batch; all of them if there are fewer.
            seed: chooses the augmentation and the order.
            size: not used; the size is that of the preparation.

        Yields:
            Prepared tensors, float32 [batch_size, ...] each, and targets.
        """
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
    """A tensor as fp16 on the CPU."""
    return part.detach().to("cpu", torch.float16)


def whole(part: Tensor) -> Tensor:
    """A stored tensor as float32 again, maps in channels-last order."""
    part = part.float()
    return part.contiguous(memory_format=torch.channels_last) if part.ndim == 4 else part


def joined(targets: Sequence[Targets]) -> Targets:
    """The targets of several batches as one, padded to the fullest image of all.

    Args:
        targets: of each batch.

    Returns:
        All targets, in order.
    """
    most = max(one.labels.shape[1] for one in targets)
    pads = [(0, most - one.labels.shape[1]) for one in targets]
    return Targets(
        torch.cat([F.pad(one.boxes, (0, 0, *pad)) for one, pad in zip(targets, pads, strict=True)]),
        torch.cat([F.pad(one.labels, pad) for one, pad in zip(targets, pads, strict=True)]),
        torch.cat([F.pad(one.crowd, pad) for one, pad in zip(targets, pads, strict=True)]),
    )
