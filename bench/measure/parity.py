"""Parity: how far a deployed detector's answers are from eager fp32 PyTorch's.

A conversion that changes the answers would make every later number a number about something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bench.runtimes import Deployed
from models.errors import UserError

TOLERANCE = 1e-3  # of probabilities and of box coordinates in the unit square, for fp32


@dataclass(frozen=True)
class Parity:
    """Largest absolute difference over all exits and anchors of some images.

    Attributes:
        probabilities: of class probabilities, in [0, 1].
        boxes: of box corners in the unit square, where either side sees an object with a probability above 0.05.
    """

    probabilities: float
    boxes: float


@torch.inference_mode()
def parity(deployed: Deployed, images: Sequence[NDArray[np.uint8]]) -> Parity:
    """Compare every exit with the candidate's detector in eager fp32.

    Args:
        deployed: the detector on its runtime.
        images: uint8 [H, W, 3] each.

    Returns:
        The largest differences.
    """
    detector = deployed.candidate.detector.eval()
    worst = [0.0, 0.0]
    for image in images:
        expected = list(detector.walk(detector.to_input(image)))
        answers = zip(deployed.walk(image), expected, detector.decoders, strict=True)
        for (found, code), raw, decode in answers:
            goal = detector.probabilities(raw)[0]
            seen = torch.maximum(1 - found[0], 1 - goal[0]) > 0.05
            worst[0] = max(worst[0], float((found - goal).abs().max()))
            if seen.any():
                moved = decode(code) - decode(raw[1][0])
                worst[1] = max(worst[1], float(moved[seen].abs().max()))
    return Parity(*worst)


def check_parity(found: Parity, deployed: Deployed) -> None:
    """Refuse an fp32 artifact that answers otherwise than PyTorch. int8 may: what it costs shows in its mAP.

    Args:
        found: the differences.
        deployed: the detector they were found on.

    Raises:
        UserError: the candidate is fp32 and a difference exceeds TOLERANCE.
    """
    worst = max(found.probabilities, found.boxes)
    if deployed.candidate.precision == "fp32" and worst > TOLERANCE:
        raise UserError(
            f"answers differ from eager PyTorch's by {worst:.2g}, more than {TOLERANCE:g}",
            where=f"{deployed.candidate.strategy} on {deployed.runtime}",
            fix="the conversion is broken: try another runtime, and report it",
        )
