"""What each way through a multi-exit detector costs, in time and in FLOPs, every head passed on the way included, so
that the mean cost of any policy is arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from bench.routing.policy import Policy

Unit = Literal["latency", "flops"]
UNITS: tuple[Unit, ...] = get_args(Unit)


@dataclass(frozen=True)
class Look:
    """ms that a criterion takes at each exit but the last, [E - 1]. staying: when the image goes on; leaving: when it
    is answered there, where detections that the criterion asked for are not computed twice."""

    staying: tuple[float, ...]
    leaving: tuple[float, ...]


@dataclass(frozen=True)
class Prices:
    """flops, ms: of an image that exit k answers without a look at it, [E] each. looks: by criterion. mixing: ms more
    where images leave at different exits, [E], because what a call leaves in the caches is not what the next one needs;
    empty: none."""

    flops: tuple[int, ...]
    ms: tuple[float, ...]
    looks: Mapping[str, Look]
    mixing: tuple[float, ...] = ()

    def mean(self, policy: Policy, share: np.ndarray, unit: Unit) -> float:
        """Mean cost of an image, in ms or in FLOPs, when exit k answers share [E] of the images."""
        return float(share @ (self.flops if unit == "flops" else self.ms_per_exit(policy)))

    def ms_per_exit(self, policy: Policy) -> np.ndarray:
        """ms of an image that exit k answers under this policy, [E]. Exits with an infinite threshold are not looked
        at."""
        total = np.array(self.ms)
        if policy.criterion is not None:
            asked = np.isfinite(policy.thresholds)
            look = self.looks[policy.criterion]
            total += self.mixing or 0.0
            total[1:] += np.cumsum(np.where(asked, look.staying, 0.0))
            total[:-1] += np.where(asked, look.leaving, 0.0)
        return total
