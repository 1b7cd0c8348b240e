"""Does a criterion know on which images an inner exit is as good as the last one?

Answered without any threshold, by the area under the ROC curve (AUROC; Fawcett, An Introduction to ROC Analysis, 2006).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.accuracy.matching import Matches
from bench.accuracy.per_image import f1
from bench.measure.exit_table import ExitTable
from bench.records import Auroc
from bench.stats import interval, resample


def aurocs(table: ExitTable, matches: Sequence[Matches], resamples: int, seed: int) -> list[Auroc]:
    """AUROC of every criterion at every inner exit, over all images of the table.

    Images are not filtered by what a policy would let through to the exit. An exit is as good as the last when its F1
    (`bench.accuracy.per_image`) is not lower. All criteria and exits see the same bootstrap draws, so that they can be
    compared.

    Args:
        table: with the criterion scores.
        matches: the same detections matched, one entry per exit.
        resamples: how many bootstrap draws.
        seed: of the draws.

    Returns:
        One entry per inner exit and criterion.
    """
    quality = [f1(one) for one in matches]
    images = len(quality[-1])
    drawn = [np.bincount(draw, minlength=images) for draw in resample(images, resamples, seed)]
    times = np.stack([np.ones(images, np.int64), *drawn])
    found = []
    for exit in range(table.exits - 1):
        good = quality[exit] >= quality[-1]
        for criterion, scores in table.scores.items():
            value, *samples = areas(scores[:, exit], good, times)
            defined = [sample for sample in samples if not np.isnan(sample)]
            found.append(
                Auroc(
                    criterion=criterion,
                    exit=exit,
                    as_good=float(good.mean()),
                    value=None if np.isnan(value) else float(value),
                    interval=interval(defined) if defined else None,
                )
            )
    return found


def areas(scores: NDArray[np.float64], good: NDArray[np.bool_], times: NDArray[np.integer]) -> NDArray[np.float64]:
    """The area under the ROC curve, for several weightings of the images.

    Mann and Whitney's U (1947) over the number of pairs: each pair of a good image and another one counts 1 where the
    good one scores higher and 1/2 where they tie.

    Args:
        scores: criterion scores, [N].
        good: which images the scores should be high for, bool [N].
        times: how often each image counts, int [R, N].

    Returns:
        float64 [R] in [0, 1]; nan where only one kind counts.
    """
    order = np.argsort(scores)
    _, starts = np.unique(scores[order], return_index=True)
    ours = np.add.reduceat((times * good)[:, order], starts, axis=1)
    others = np.add.reduceat((times * ~good)[:, order], starts, axis=1)
    below = others.cumsum(axis=1) - others / 2
    with np.errstate(invalid="ignore"):
        return (ours * below).sum(axis=1) / (ours.sum(axis=1) * others.sum(axis=1))
