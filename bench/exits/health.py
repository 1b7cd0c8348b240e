"""Signs of health of an exit on one image, cheap enough to be read on every image of a pass. What they add up to over
all images, and when to worry, is `bench.routing.alarms`."""

from __future__ import annotations

import math

import torch

from bench.exits.view import View
from models.ssdlite.loss import BOX_WEIGHTS

SEEN = 0.1  # an anchor with less foreground is no part of what the exit says, and no loss ever looked at its box
SHIFT = (
    1.0  # anchor extents from an anchor's centre to its box's; beyond it they share no more than an edge or a corner
)
STRETCH = math.log(1000 / 16)  # of a box's side over its anchor's; decoding clamps it there
PLAUSIBLE = torch.tensor([SHIFT, SHIFT, STRETCH, STRETCH]) * torch.tensor(BOX_WEIGHTS)


def exit_health(view: View) -> dict[str, float]:
    """spread: the foreground probability of the best anchor less that of the median one, in [0, 1]; 0 where the scores
    are uniform over the image, or not numbers.

    offset: the largest absolute box code of the anchors with a foreground of at least SEEN, as a multiple of what is
    plausible: above 1 a box leaves its anchor or grows past what decoding allows; inf where it is not finite, 0 without
    such an anchor.
    """
    foreground = 1 - view.probabilities[0]
    spread = float(foreground.max() - foreground.median())
    code = view.code[foreground >= SEEN].abs() / PLAUSIBLE
    offset = float(code.nan_to_num(nan=math.inf, posinf=math.inf).amax()) if len(code) else 0.0
    return {"spread": 0.0 if math.isnan(spread) else spread, "offset": offset}
