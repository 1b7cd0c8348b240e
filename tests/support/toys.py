"""A tiny labelled source and a fit that does not train, for tests of what strategies build."""

import numpy as np
import torch

from models.detector import Targets
from models.ssdlite.network import ssdlite
from strategies.base import Candidate


class Scenes:
    """`count` random pictures with one box each; remembers which were looked at."""

    def __init__(self, count: int = 6, size: int = 96):
        self.count, self.size, self.seen = count, size, []

    def __len__(self) -> int:
        return self.count

    def image(self, index: int) -> np.ndarray:
        self.seen.append(index)
        return np.random.default_rng(index).integers(0, 256, (self.size, self.size, 3), dtype=np.uint8)

    def targets(self, indices) -> Targets:
        n = len(indices)
        boxes = torch.tensor([[[0.1, 0.1, 0.5, 0.5]]]).repeat(n, 1, 1)
        return Targets(boxes, torch.ones(n, 1, dtype=torch.long), torch.zeros(n, 1, dtype=torch.bool))


class OneStep:
    """Runs the objective forward and backward once, so that it is exercised, and changes nothing."""

    def __init__(self):
        self.calls = []

    def __call__(
        self,
        detector,
        *,
        name,
        objective,
        epochs,
        learning_rate,
        pretrained_modules=(),
        pretrained_lr_scale=1.0,
        rates=None,
        options="",
        prepare=None,
        augmentations=1,
    ):
        inputs = torch.randn(2, 3, detector.size, detector.size)
        if prepare is not None:
            with torch.no_grad():
                inputs = prepare(detector.eval(), inputs)
        detector.train()
        for module in pretrained_modules:
            module.requires_grad_(pretrained_lr_scale > 0)
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
        losses = objective(detector, inputs, Scenes().targets([0, 1]))
        sum(losses.values()).backward()
        touched = [
            key for key, value in detector.named_parameters() if value.grad is not None and value.grad.abs().sum()
        ]
        self.calls.append(
            {
                "name": name,
                "options": options,
                "epochs": epochs,
                "learning_rate": learning_rate,
                "losses": losses,
                "inherited": set(pretrained_modules),
                "rates": dict(rates or {}),
                "touched": touched,
            }
        )
        detector.zero_grad(set_to_none=True)
        return detector.requires_grad_(True).eval()


def candidate(classes: tuple[str, ...] = ("a", "b"), size: int = 96) -> Candidate:
    torch.manual_seed(0)
    return Candidate("baseline", "trained", ssdlite(classes, size).eval())


def awake(size: int = 64) -> Candidate:
    """An untrained candidate whose batch norm has seen noise: without, its answers hardly depend on the image."""
    made = candidate(size=size)
    for module in made.detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        made.detector.train()(torch.randn(8, 3, size, size))
    made.detector.eval()
    return made


def no_score(candidate: Candidate) -> float:
    raise AssertionError("this strategy has nothing to compare")


def apply(strategy, start=None, train=None, score=no_score):
    fit = OneStep()
    made = strategy.apply(start or candidate(), fit=fit, score=score, train=train or Scenes(), val=Scenes(), seed=3)
    return made, fit.calls


def distilled(losses):
    return sum(float(value.detach()) for name, value in losses.items() if "distil" in name)
