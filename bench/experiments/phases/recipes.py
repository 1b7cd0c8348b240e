"""The nine rounds as small configurations of one training and one kind of policy, and the sound recipe.

Only what differed between the rounds is named here, with what is to be expected of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Assignment = Literal["random", "iou"]
Weighting = Literal["fixed", "hard", "sigmoid", "gumbel"]


@dataclass(frozen=True)
class Quality:
    """A condition on an exit's confidence: enough anchors must be sure of an object, else confidence is 0.

    Where it is met, the confidence is the mean foreground probability of those anchors.

    Attributes:
        objectness: foreground probability in [0, 1] above which an anchor counts.
        objects: how many anchors must count.
    """

    objectness: float
    objects: int


@dataclass(frozen=True)
class Recipe:
    """What one round did.

    Attributes:
        name: number of the round, or "sound".
        tried: what it tried, in a few words.
        thresholds: on the confidence of exits 1 and 2 when training starts, and when it ends; the latter are those in
            use. None: searched on val.
        learned: the thresholds are parameters, which start where `thresholds` does.
        quality: the condition on confidence, in training and in use; without one, confidence is the mean foreground
            probability.
        warmup: share of the training, in [0, 1], before `quality` and routing change the losses.
        weighting: of the exits' losses. "fixed" is always the same. The others weigh an exit by the share of the batch
            that it would answer: decided by the thresholds ("hard"), relaxed by a sigmoid, or drawn by a
            straight-through Gumbel softmax (Jang et al. 2017).
        temperature: "fitted" on val within `models.temperature.CLAMP`; or trained, held within CLAMP ("clamped") or
            "free".
        passes: under which assignments no alarm is expected.
    """

    name: str
    tried: str
    thresholds: tuple[tuple[float, float], tuple[float, float]] | None
    learned: bool = False
    quality: Quality | None = None
    warmup: float = 0.0
    weighting: Weighting = "fixed"
    temperature: Literal["fitted", "clamped", "free"] = "free"
    passes: tuple[Assignment, ...] = ()


def _held(first: float, second: float) -> tuple[tuple[float, float], tuple[float, float]]:
    return (first, second), (first, second)


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("1.1", "quality gates", _held(0.5, 0.5), quality=Quality(0.5, 3), weighting="hard"),
        Recipe("1.2", "low thresholds", _held(0.40, 0.50)),
        Recipe("1.3", "high thresholds", _held(0.65, 0.80)),
        Recipe("1.4", "calibrated thresholds", _held(0.45, 0.60)),
        Recipe("1.5", "learned thresholds", _held(0.55, 0.65), learned=True, weighting="sigmoid"),
        Recipe("1.6", "Gumbel-softmax routing", _held(0.55, 0.65), learned=True, weighting="gumbel"),
        Recipe("1.7", "rising thresholds", ((0.25, 0.35), (0.45, 0.60)), weighting="sigmoid"),
        Recipe(
            "1.8",
            "warm-up, stricter gates",
            ((0.40, 0.50), (0.65, 0.75)),
            quality=Quality(0.7, 5),
            warmup=0.25,
            weighting="hard",
            temperature="clamped",
        ),
        Recipe(
            "1.9",
            "warm-up, relaxed gates",
            ((0.35, 0.45), (0.55, 0.65)),
            quality=Quality(0.6, 2),
            warmup=0.5,
            weighting="hard",
            temperature="clamped",
        ),
        Recipe("sound", "no gates, search on val", None, temperature="fitted", passes=("iou",)),
    )
}
