"""Structured pruning: whole channels go, the weakest first, and the rest is fine-tuned.

The unpruned model is the teacher. torch-pruning finds what depends on a channel (DepGraph, Fang and others 2023); the
outputs of the heads, and so the anchors, stay.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch_pruning as tp
from torch import Tensor, nn

from models.detector import Detector, Raw, State
from models.errors import UserError
from models.families import pruning, trunk_rates
from strategies.base import Candidate, Fit, Images, Score, plain_objective
from strategies.distil import finetune

Importance = Literal["magnitude", "bn_scale", "taylor"]
IMPORTANCES: dict[str, Callable[[], tp.importance.Importance]] = {
    "magnitude": lambda: tp.importance.GroupMagnitudeImportance(p=2),
    "bn_scale": tp.importance.BNScaleImportance,
    "taylor": tp.importance.GroupTaylorImportance,
}
TAYLOR_IMAGES = 64
CHECKED_IMAGES = 8


@dataclass(frozen=True)
class Prune:
    """Removes whole channels, or attention heads, and fine-tunes what is left.

    Args:
        epochs: passes over the training images, at least 0; 0 leaves it as it is pruned.
        learning_rate: peak AdamW learning rate, above 0.
        trunk_lr_scale: factor of the learning rate for a trunk that was trained before, at least 0; 1: as all else.
        layer_decay: factor of each layer's learning rate from that of the next one, in (0, 1] (layer-wise decay, Clark
            et al. 2020); 1: all layers alike.
        ratios: share of the channels removed, in (0, 1), one candidate each.
        importance: what a channel is judged by: "magnitude", the L2 norm of its weights; "bn_scale", its batch-norm
            scale; "taylor", the first-order change of the training loss (Molchanov and others 2019).
        scope: "layer": the same ratio in every layer; "global": one ranking over all.
        multiple: channel counts that stay are rounded to it, at least 1.
        steps: prune and fine-tune in so many rounds that share the epochs, at least 1.
        distil: weight of the unpruned detector's answers in the loss (distillation), at least 0; at 0 left out.
        labels: weight of the losses on the ground truth, at least 0; at 0 left out.
    """

    epochs: int = 4
    learning_rate: float = 1e-3
    trunk_lr_scale: float = 1.0
    layer_decay: float = 1.0
    ratios: tuple[float, ...] = (0.25, 0.5)
    importance: Importance = "taylor"
    scope: Literal["layer", "global"] = "global"
    multiple: int = 8
    steps: int = 1
    distil: float = 0.5
    labels: float = 1.0

    def apply(
        self, initial: Candidate, *, fit: Fit, score: Score, train: Images, val: Images, seed: int
    ) -> list[Candidate]:
        """Return one candidate per ratio."""
        pruning(initial.detector)  # before anything is computed for one that cannot be
        return [self._one(ratio, initial, fit, train) for ratio in self.ratios]

    def _one(self, ratio: float, initial: Candidate, fit: Fit, train: Images) -> Candidate:
        detector = initial.detector.clone()
        every = 1 - (1 - ratio) ** (1 / self.steps)
        for step in range(1, self.steps + 1):
            if self.importance == "taylor":
                leave_gradients(detector, train)
            prune_channels(detector, every, self.importance, self.scope, self.multiple)
            finetune(
                detector,
                teacher=initial.detector,
                fit=fit,
                name=f"prune-{ratio:g}" + (f"-step{step}" if self.steps > 1 else ""),
                epochs=-(-self.epochs // self.steps),
                learning_rate=self.learning_rate,
                distil=self.distil,
                labels=self.labels,
                rates=trunk_rates(detector, self.trunk_lr_scale, self.layer_decay),
            )
        looked_at = range(min(CHECKED_IMAGES, len(train)))
        images = [detector.to_input(train.image(index)) for index in looked_at]
        check_intact(detector, initial.detector, images)
        kinds = [f"{100 * ratio:.0f}pct", *({self.importance, self.scope} - {"taylor", "global"})]
        note = f"{ratio:.0%} of the channels removed by {self.importance} in {self.steps} steps"
        note += f", fine-tuned {self.epochs} epochs with distillation"
        return Candidate("prune", "-".join(sorted(kinds)), detector, criteria=initial.criteria, note=note)


class _Pruner(tp.pruner.BasePruner):
    """Rounds the channels that stay to the nearest multiple.

    torch-pruning rounds down, and so takes half of a layer of 16 when asked for a twentieth: on photographs, 10 % by
    Taylor left mAP 0.015 on val that way, 0.222 this way.
    """

    def _round_to(self, n_pruned: int, current_channels: int, round_to: int) -> int:
        kept = round_to * max(1, math.floor((current_channels - n_pruned) / round_to + 0.5))
        return max(0, current_channels - kept)


class _Chain(nn.Module):
    """All exits in one forward, as the flat outputs that the dependency graph is traced from."""

    def __init__(self, detector: Detector):
        super().__init__()
        self.stages = detector.stages

    def forward(self, images: Tensor) -> list[Tensor]:
        state: State = (images,)
        outputs: list[Tensor] = []
        for stage in self.stages:
            state, raw = stage(*state)
            outputs += raw
        return outputs


def prune_channels(detector: Detector, ratio: float, importance: Importance, scope: str, multiple: int) -> None:
    """Remove channels of every prunable layer in place, the weakest first.

    Args:
        detector: what is pruned.
        ratio: share of the channels to remove, in (0, 1).
        importance: what a channel is judged by; "taylor" needs gradients (`leave_gradients`).
        scope: "layer": the ratio in every layer; "global": over all together.
        multiple: channel counts that stay are rounded to it.
    """
    detector.eval().requires_grad_(True)
    kept = [layer for stage in detector.stages for layer in stage.answer_layers()]
    known = pruning(detector)
    pruner = _Pruner(
        _Chain(detector),
        example_inputs=torch.zeros(1, 3, detector.size, detector.size),
        importance=IMPORTANCES[importance](),
        global_pruning=scope == "global",
        pruning_ratio=ratio,
        max_pruning_ratio=0.8,  # a global ranking would close small layers altogether
        ignored_layers=kept,
        round_to=multiple,
        num_heads=known.heads(detector),
        prune_num_heads=True,
        prune_head_dims=False,
        head_pruning_ratio=ratio,
    )
    pruner.step()
    known.recount(detector)
    detector.zero_grad(set_to_none=True)


def leave_gradients(detector: Detector, train: Images) -> None:
    """Leave gradients of the training loss over some training images in the parameters, for the Taylor importance.

    Args:
        detector: whose parameters they are.
        train: the training images; the first TAYLOR_IMAGES count.
    """
    detector.eval().requires_grad_(True).zero_grad(set_to_none=True)
    for index in range(min(TAYLOR_IMAGES, len(train))):
        image = detector.to_input(train.image(index))
        torch.stack(list(plain_objective(detector, image, train.targets([index])).values())).sum().backward()


@torch.inference_mode()
def check_intact(pruned: Detector, original: Detector, images: Sequence[Tensor]) -> None:
    """Check that pruning left what must stay: anchors, shapes of answers, finite numbers, and detections.

    Args:
        pruned: the pruned detector.
        original: the unpruned one.
        images: float32 [1, 3, size, size] each.

    Raises:
        UserError: something is damaged.
    """
    pairs = zip(*(one.get_submodule("decoders").buffers() for one in (pruned, original)), strict=True)
    broken = [] if all(torch.equal(mine, theirs) for mine, theirs in pairs) else ["its anchors differ"]
    answers = [zip(pruned.eval()(image), original.eval()(image), strict=True) for image in images]
    for number, pairs in enumerate(zip(*answers, strict=True), start=1):
        ours, theirs = zip(*pairs, strict=True)
        if [part.shape for raw in ours for part in raw] != [part.shape for raw in theirs for part in raw]:
            broken.append(f"exit {number} answers in another shape")
        elif not all(torch.isfinite(part).all() for raw in ours for part in raw):
            broken.append(f"exit {number} answers with no numbers")
        elif count_found(original, theirs, number - 1) and not count_found(pruned, ours, number - 1):
            broken.append(f"exit {number} finds nothing on {len(images)} training images, the unpruned one does")
    if broken:
        raise UserError(
            f"the pruned detector is damaged: {', '.join(broken)}", where="strategy prune", fix="lower ratios"
        )


def count_found(detector: Detector, raws: Sequence[Raw], exit: int) -> int:
    """Count the detections, after NMS, that an exit's raw answers to single images amount to.

    Args:
        detector: whose answers they are.
        raws: one raw answer of batch size 1 per image.
        exit: index of the exit.
    """
    return sum(len(detector.detections(detector.probabilities(raw)[0], raw[1][0], exit)) for raw in raws)
