"""Training exits with a round's routing in the loss.

This is the objective of every replayed round, with what it learns beside the detector's weights: thresholds and
temperatures.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.experiments.phases.recipes import Quality, Recipe
from models.detector import Detector, Targets
from models.temperature import CLAMP

LOSS_WEIGHTS = (0.3, 0.4, 0.3)  # of the exits, wherever routing has no say
START = (1.5, 1.5, 1.0)  # temperatures before training
LEAST = 0.05  # a free temperature stays above, for below 0 it means nothing
SOFTNESS = 0.1  # of a relaxed threshold, in confidence
UNUSED = (1.0, 1.0), (1.0, 1.0)  # thresholds of a training that does not ask for them
HURRY = 20.0  # thresholds and temperatures learn so many times as fast: the rounds took many more steps than a replay


def confidence(foreground: Tensor, quality: Quality | None) -> Tensor:
    """How sure an exit is of each image.

    Args:
        foreground: foreground probabilities of its anchors, [N, A] in [0, 1].
        quality: the condition that it must meet, or None.

    Returns:
        [N] in [0, 1].
    """
    if quality is None:
        return foreground.mean(dim=1)
    sure = foreground > quality.objectness
    count = sure.sum(dim=1)
    return (foreground * sure).sum(dim=1) / count.clamp(min=1) * (count >= quality.objects)


class Router(nn.Module):
    """A recipe's objective for a detector of three exits (`strategies.base.Objective`).

    It must be a part of that detector while it trains, to be trained and kept with it.

    Args:
        recipe: of the round.
        steps: of the whole training.
    """

    start: Tensor
    step: Tensor

    def __init__(self, recipe: Recipe, steps: int):
        super().__init__()
        self.recipe, self.steps = recipe, steps
        start, self.end = (recipe.thresholds or UNUSED) if recipe.weighting != "fixed" else UNUSED
        self.threshold = nn.Parameter(torch.tensor(start) / HURRY, requires_grad=recipe.learned)
        self.divisor = nn.Parameter(torch.tensor(START) / HURRY, requires_grad=recipe.temperature != "fitted")
        self.register_buffer("start", torch.tensor(start))
        self.register_buffer("step", torch.zeros(()))

    @property
    def progress(self) -> float:
        """How much of the training is done, in [0, 1]."""
        return min(1.0, float(self.step) / self.steps)

    def thresholds(self) -> Tensor:
        """The thresholds of exits 1 and 2 at this point of the training, [2]."""
        if self.recipe.learned:
            return self.threshold * HURRY
        return torch.lerp(self.start, torch.tensor(self.end), self.progress)

    def temperatures(self) -> Tensor:
        """One temperature per exit, [3]; all 1 where they are to be fitted later."""
        if self.recipe.temperature == "fitted":
            return torch.ones(len(START))
        low, high = CLAMP if self.recipe.temperature == "clamped" else (LEAST, torch.inf)
        with torch.no_grad():
            self.divisor.clamp_(low / HURRY, high / HURRY)
        return self.divisor * HURRY

    def forward(self, detector: Detector, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        """The weighted losses of every exit, by name, and one step more of the training.

        Args:
            detector: of three exits.
            images: [N, 3, size, size], as the detector takes them.
            targets: the objects of these images.

        Returns:
            "exit1/class", ... -> a scalar.
        """
        raws = [(logits / t, code) for (logits, code), t in zip(detector(images), self.temperatures(), strict=True)]
        weights = images.new_tensor(LOSS_WEIGHTS)
        if self.recipe.weighting != "fixed" and self.progress >= self.recipe.warmup:
            sure = [confidence(1 - logits.softmax(-1)[..., 0], self.recipe.quality) for logits, _ in raws[:-1]]
            weights = self.shares(torch.stack(sure, dim=1)).mean(dim=0)
        self.step += 1
        return {
            f"exit{number}/{name}": weight * value
            for number, (weight, losses) in enumerate(zip(weights, detector.loss(raws, targets), strict=True), start=1)
            for name, value in losses.items()
        }

    def shares(self, sure: Tensor) -> Tensor:
        """How much of each image each exit answers.

        Args:
            sure: confidences of exits 1 and 2, [N, 2] in [0, 1].

        Returns:
            [N, 3]; rows sum to 1.
        """
        lead = sure - self.thresholds()
        if self.recipe.weighting == "gumbel":
            logits = torch.cat([lead / SOFTNESS, torch.zeros_like(lead[:, :1])], dim=1)
            return F.gumbel_softmax(logits, hard=True)
        leaves = torch.sigmoid(lead / SOFTNESS) if self.recipe.weighting == "sigmoid" else (lead >= 0).float()
        first, second = leaves.unbind(dim=1)
        return torch.stack([first, (1 - first) * second, (1 - first) * (1 - second)], dim=1)
