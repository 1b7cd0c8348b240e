"""What each way through a multi-exit detector costs, in time and in FLOPs, every head passed on the way included, so
that the mean cost of any policy is arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from bench.exits.policy import Policy

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
    """flops, ms: of an image that exit k answers without a look at it, when all images leave there, [E] each. looks: by
    criterion. mixing: ms more where as many images leave at every exit, [E], because what a call leaves in the caches
    is not what one that leaves elsewhere needs; empty: none."""

    flops: tuple[int, ...]
    ms: tuple[float, ...]
    looks: Mapping[str, Look]
    mixing: tuple[float, ...] = ()

    def mean(self, policy: Policy, share: np.ndarray, unit: Unit) -> float:
        """Mean cost of an image, in ms or in FLOPs, when exit k answers share [E] of the images."""
        if unit == "flops":
            return float(share @ self.flops)
        return float(share @ (self.in_company(share) + self.looked(policy)))

    def relative(self, policy: Policy, unit: Unit) -> np.ndarray:
        """What an image costs that exit k answers, [E], the policy's looks included and company aside, as a share of
        what one costs that the last exit answers without a look."""
        if unit == "flops":
            return np.array(self.flops) / self.flops[-1]
        return (np.array(self.ms) + self.looked(policy)) / self.ms[-1]

    def in_company(self, share: np.ndarray) -> np.ndarray:
        """ms of an image that exit k answers, [E], when exit k answers share [E] of the images, looks aside. A call
        pays `mixing` as far as the one before it left elsewhere: all of it where the shares are equal."""
        extra = np.array(self.mixing or np.zeros(len(self.ms)))
        return np.array(self.ms) + extra * (1 - share) * len(self.ms) / (len(self.ms) - 1)

    def looked(self, policy: Policy) -> np.ndarray:
        """ms that the policy's looks take on the way to exit k, [E]. Exits with an infinite threshold are not looked
        at."""
        total = np.zeros(len(self.ms))
        if policy.criterion is not None:
            asked = np.isfinite(policy.thresholds)
            look = self.looks[policy.criterion]
            total[1:] += np.cumsum(np.where(asked, look.staying, 0.0))
            total[:-1] += np.where(asked, look.leaving, 0.0)
        return total
