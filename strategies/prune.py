"""Structured pruning: whole channels go, the weakest first, across everything that depends on them, and the rest is
fine-tuned with the unpruned model as teacher. torch-pruning finds the groups (DepGraph, Fang and others 2023); the
outputs of the heads, and so the anchors, stay."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch_pruning as tp
from torch import Tensor, nn

from models.detector import Detector
from models.errors import UserError
from strategies.base import Candidate, Fit, Images
from strategies.distil import finetune


@dataclass(frozen=True)
class Prune:
    """ratios: share of channels removed in every prunable layer, one candidate each. multiple: channel counts that stay
    are rounded to it. distil: weight of the distillation from the unpruned model."""

    epochs: int
    rate: float
    ratios: tuple[float, ...] = (0.25, 0.5)
    multiple: int = 8
    distil: float = 0.5

    def apply(self, start: Candidate, *, fit: Fit, train: Images, val: Images, seed: int) -> list[Candidate]:
        made = []
        for ratio in self.ratios:
            detector = prune_channels(start.detector, ratio, self.multiple)
            finetune(
                detector,
                teacher=start.detector,
                fit=fit,
                name=f"prune-{ratio:g}",
                epochs=self.epochs,
                rate=self.rate,
                distil=self.distil,
            )
            check_intact(detector, start.detector)
            note = f"{ratio:.0%} of the channels removed, fine-tuned {self.epochs} epochs with distillation"
            made.append(
                Candidate("prune", f"{ratio:.0%}".replace("%", "pct"), detector, criteria=start.criteria, note=note)
            )
        return made


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


def prune_channels(detector: Detector, ratio: float, multiple: int) -> Detector:
    """A copy without `ratio` of the channels of every prunable layer, lowest group L2 magnitude first."""
    copy = detector.clone().eval()
    for parameter in copy.parameters():
        parameter.requires_grad_(True)
    kept = [layer for stage in copy.stages for layer in stage.head.answer_layers()]
    kept += [stage.mix for stage in copy.stages if stage.mix is not None]
    pruner = tp.pruner.BasePruner(
        _Chain(copy),
        example_inputs=torch.zeros(1, 3, copy.size, copy.size),
        importance=tp.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=ratio,
        ignored_layers=kept,
        round_to=multiple,
    )
    pruner.step()
    return copy


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
