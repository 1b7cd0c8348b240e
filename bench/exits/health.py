"""Signs of health of an exit on one image, cheap enough to be read on every image of a pass.

What they add up to over all images, and when to worry, is `bench.routing.alarms`.
"""

from __future__ import annotations

import math

from bench.exits.view import View
from models.detector import Decoder

SEEN = 0.1  # an anchor with less foreground is no part of what the exit says, and no loss ever looked at its box


def exit_health(view: View, decode: Decoder) -> dict[str, float]:
    """Signs of health of one exit on one image.

    Args:
        view: what the exit knows of the image.
        decode: the exit's decoder, which says what box code is plausible.

    Returns:
        "spread": the foreground probability of the best anchor less that of the median one, in [0, 1]; 0 where the
        scores are uniform over the image, or not numbers. "offset": the box code of the anchors with a foreground of at
        least SEEN, as a multiple of what is plausible (`models.detector.Decoder.implausible`), the largest; inf where
        one is not finite, 0 without such an anchor.
    """
    foreground = 1 - view.probabilities[0]
    spread = float(foreground.max() - foreground.median())
    code = view.code[foreground >= SEEN]
    beyond = decode.implausible(code)
    beyond[~code.isfinite().all(-1)] = math.inf
    offset = float(beyond.max()) if len(code) else 0.0
    return {"spread": 0.0 if math.isnan(spread) else spread, "offset": offset}
