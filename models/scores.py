"""How an exit's class logits become probabilities.

Row 0 is always the background's, so that whoever reads them need not know how they were made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """What a detector's class logits mean.

    Args:
        probabilities: class logits [N, A, K] -> probabilities [N, 1 + C, A], row 0 the background's.
        exclusive: whether an anchor is of one class or none, and its rows sum to one.
        log_loss: (class logits [n, K], labels int64 [n], 0 for background) -> mean negative log-likelihood, a scalar.
    """

    probabilities: Callable[[Tensor], Tensor]
    exclusive: bool
    log_loss: Callable[[Tensor, Tensor], Tensor]


def softmax_probabilities(logits: Tensor) -> Tensor:
    """Probabilities of classes that exclude each other.

    Class by class, which is how they are read, and a softmax across rows is four times as fast as one within rows of
    two.

    Args:
        logits: [N, A, 1 + C], background first.

    Returns:
        [N, 1 + C, A]; the rows sum to one.
    """
    return logits.transpose(1, 2).softmax(1)


def sigmoid_probabilities(logits: Tensor) -> Tensor:
    """Probabilities of classes that know nothing of each other, as DETRs with a focal loss have them.

    What reads an exit's scores needs a background, which is one minus the largest score. With one class that is the
    softmax's; with more the rows sum to one or more, so that an entropy of them (`bench.exits.pooling.entropies`) is no
    longer that of a distribution. It still grows with doubt, but criteria that are one minus it end at 0.

    Args:
        logits: [N, A, C].

    Returns:
        [N, 1 + C, A], each in [0, 1].
    """
    scores = logits.transpose(1, 2).sigmoid()
    return torch.cat([1 - scores.amax(1, keepdim=True), scores], dim=1)


def sigmoid_log_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean negative log-likelihood of all C yes-or-no answers together.

    Args:
        logits: [n, C].
        labels: int64 [n], 0 where all answers should be no.
    """
    wanted = F.one_hot(labels, 1 + logits.shape[1])[:, 1:].to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(1).mean()


SOFTMAX = Scores(softmax_probabilities, exclusive=True, log_loss=F.cross_entropy)
SIGMOID = Scores(sigmoid_probabilities, exclusive=False, log_loss=sigmoid_log_loss)
