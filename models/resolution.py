"""The same network at a small input first, then at the full one: exits that differ in resolution in place of depth.

In the spirit of Yang et al. 2020, "Resolution Adaptive Networks". Nothing is shared between its stages but the image,
so an image that goes on to the next has paid for both.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from models.detector import Detector, Loss, Raw, Stage, State, Targets, module_list
from models.families import resized


class SmallStage(nn.Module):
    """A whole one-exit network on the image shrunk to `size` px; hands on the image as it came."""

    stage: Stage

    def __init__(self, stage: Stage, size: int):
        super().__init__()
        self.stage, self.size = stage, size

    @property
    def temperature(self) -> Tensor:
        """What the network's logits are divided by."""
        return self.stage.temperature

    def forward(self, images: Tensor) -> tuple[State, Raw]:
        """The images [N, 3, S, S] as the next state, and the network's answer."""
        small = F.interpolate(images, size=(self.size, self.size), mode="bilinear", align_corners=False)
        _, raw = self.stage(small)
        return (images,), raw

    def answer_layers(self) -> list[nn.Module]:
        """The convolutions whose output channels are classes and box codes."""
        return self.stage.answer_layers()


class EachLoss(nn.Module):
    """Every exit's own loss, since their anchors differ.

    Args:
        losses: one per exit, all of one kind.
    """

    losses: Sequence[Loss]

    def __init__(self, losses: list[Loss]):
        super().__init__()
        self.losses = module_list(losses)

    def forward(self, raws: list[Raw], targets: Targets) -> list[dict[str, Tensor]]:
        """One dict of named scalar losses per exit."""
        return [one([raw], targets)[0] for one, raw in zip(self.losses, raws, strict=True)]

    def distil(self, student: Raw, teacher: Raw) -> dict[str, Tensor]:
        """How far a student exit is from its teacher, by the last exit's loss."""
        return self.losses[-1].distil(student, teacher)


def resolution_chain(detector: Detector, sizes: tuple[int, ...]) -> Detector:
    """A copy of a one-exit detector with exits at smaller inputs; its last exit answers as before.

    Weights are copied, so that each stage can be trained or pruned for its resolution; anchors stay as large in pixels
    (`models.ssdlite.network.anchor_grid`).

    Args:
        detector: one-exit.
        sizes: of the smaller inputs, increasing and below its own, in px.

    Raises:
        ValueError: for sizes that cannot be.
    """
    if not sizes or list(sizes) != sorted(set(sizes)) or sizes[-1] >= detector.size:
        raise ValueError(f"sizes must increase and stay below {detector.size} px, not {sizes}")
    small, full = [resized(detector, size) for size in sizes], detector.clone()
    stages: list[Stage] = [SmallStage(one.stages[0], one.size) for one in small] + [full.stages[0]]
    decoders = [one.decoders[0] for one in (*small, full)]
    loss = EachLoss([one.loss for one in (*small, full)])
    made = detector.with_stages(stages, decode=decoders, loss=loss)
    made.auxiliary_losses = None  # a family's need its own stages, which are wrapped in these
    return made
