"""Structured pruning: whole channels go, the weakest first, across everything that depends on them, and the rest is
fine-tuned with the unpruned model as teacher. torch-pruning finds the groups (DepGraph, Fang and others 2023); the
outputs of the heads, and so the anchors, stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch_pruning as tp
from torch import Tensor, nn

from models.detector import Detector, to_input
from models.errors import UserError
from strategies.base import Candidate, Fit, Images, plain_objective
from strategies.distil import finetune

Importance = Literal["magnitude", "bn_scale", "taylor"]
IMPORTANCES: dict[str, Callable[[], tp.importance.Importance]] = {
    "magnitude": lambda: tp.importance.GroupMagnitudeImportance(p=2),
    "bn_scale": tp.importance.BNScaleImportance,
    "taylor": tp.importance.GroupTaylorImportance,
}
TAYLOR_IMAGES = 64


@dataclass(frozen=True)
class Prune:
    """ratios: share of channels removed, one candidate each. importance: what a channel is judged by: the L2 norm of
    its weights, its batch-norm scale, or the first-order change of the training loss (Molchanov and others 2019).
    scope: the same ratio in every layer, or one ranking over all. multiple: channel counts that stay are rounded to it.
    steps: prune and fine-tune in so many rounds that share the epochs. distil: weight of the distillation."""

    epochs: int = 4
    rate: float = 1e-3
    ratios: tuple[float, ...] = (0.25, 0.5)
    importance: Importance = "magnitude"
    scope: Literal["layer", "global"] = "layer"
    multiple: int = 8
    steps: int = 1
    distil: float = 0.5

    def apply(self, start: Candidate, *, fit: Fit, train: Images, val: Images, seed: int) -> list[Candidate]:
        return [self._one(ratio, start, fit, train) for ratio in self.ratios]

    def _one(self, ratio: float, start: Candidate, fit: Fit, train: Images) -> Candidate:
        detector = start.detector.clone()
        every = 1 - (1 - ratio) ** (1 / self.steps)
        for step in range(1, self.steps + 1):
            if self.importance == "taylor":
                leave_gradients(detector, train)
            prune_channels(detector, every, self.importance, self.scope, self.multiple)
            finetune(
                detector,
                teacher=start.detector,
                fit=fit,
                name=f"prune-{ratio:g}" + (f"-step{step}" if self.steps > 1 else ""),
                epochs=-(-self.epochs // self.steps),
                rate=self.rate,
                distil=self.distil,
            )
        check_intact(detector, start.detector)
        kinds = [f"{100 * ratio:.0f}pct", *({self.importance, self.scope} - {"magnitude", "layer"})]
        note = f"{ratio:.0%} of the channels removed by {self.importance} in {self.steps} steps"
        note += f", fine-tuned {self.epochs} epochs with distillation"
        return Candidate("prune", "-".join(sorted(kinds)), detector, criteria=start.criteria, note=note)


class _Chain(nn.Module):
    """All exits in one forward, as the flat outputs that the dependency graph is traced from."""

    def __init__(self, detector: Detector):
        super().__init__()
        self.stages = detector.stages

    def forward(self, images: Tensor) -> list[Tensor]:
        state, outputs = (images,), []
        for stage in self.stages:
            state, raw = stage(*state)
            outputs += raw
        return outputs


def prune_channels(detector: Detector, ratio: float, importance: Importance, scope: str, multiple: int) -> None:
    """Remove `ratio` of the channels of every prunable layer, or of all together, in place, the weakest first."""
    detector.eval().requires_grad_(True)
    kept = [layer for stage in detector.stages for layer in stage.head.answer_layers()]
    kept += [stage.mix for stage in detector.stages if stage.mix is not None]
    pruner = tp.pruner.BasePruner(
        _Chain(detector),
        example_inputs=torch.zeros(1, 3, detector.size, detector.size),
        importance=IMPORTANCES[importance](),
        global_pruning=scope == "global",
        pruning_ratio=ratio,
        max_pruning_ratio=0.8,  # a global ranking would close small layers altogether
        ignored_layers=kept,
        round_to=multiple,
    )
    pruner.step()
    detector.zero_grad(set_to_none=True)


def leave_gradients(detector: Detector, train: Images) -> None:
    """Gradients of the training loss over some training images, in the parameters, for the Taylor importance."""
    detector.eval().requires_grad_(True).zero_grad(set_to_none=True)
    for index in range(min(TAYLOR_IMAGES, len(train))):
        image = to_input(train.image(index), detector.size)
        torch.stack(list(plain_objective(detector, image, train.targets([index])).values())).sum().backward()


@torch.inference_mode()
def check_intact(pruned: Detector, original: Detector) -> None:
    """UserError when pruning damaged what must stay: anchors, the shape of every exit's answer, numbers at all."""
    images = torch.zeros(1, 3, pruned.size, pruned.size)
    broken = []
    if not torch.equal(pruned.loss.anchors, original.loss.anchors):
        broken.append("its anchors differ")
    for number, (ours, theirs) in enumerate(zip(pruned(images), original.eval()(images), strict=True), start=1):
        if [part.shape for part in ours] != [part.shape for part in theirs]:
            broken.append(f"exit {number} answers in another shape")
        elif not all(torch.isfinite(part).all() for part in ours):
            broken.append(f"exit {number} answers with no numbers")
    if broken:
        raise UserError(
            f"the pruned detector is damaged: {', '.join(broken)}", where="strategy prune", fix="lower ratios"
        )
