"""What each path through a multi-exit detector costs, in time and in FLOPs.

The path to exit k runs every stage and every head up to k. With these costs the mean cost of any policy is arithmetic:
nothing has to be measured again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bench.exits.policy import Policy

Unit = Literal["latency", "flops"]
UNITS: tuple[Unit, ...] = get_args(Unit)


@dataclass(frozen=True)
class CriterionCost:
    """Time to evaluate one criterion, at each exit but the last.

    Attributes:
        staying: ms when the image goes on to the next stage, [E - 1].
        leaving: ms when the image is answered at this exit, [E - 1]. Smaller where the criterion needs detections: the
            answer needs them anyway, and they are not computed twice.
    """

    staying: tuple[float, ...]
    leaving: tuple[float, ...]


@dataclass(frozen=True)
class PathCosts:
    """Measured costs of the paths to all exits of one detector (E exits).

    Attributes:
        flops: multiply-adds up to each exit, [E].
        ms: time of an image answered at each exit, without any criterion, when all images leave there, [E].
        criterion_costs: time to evaluate each criterion, by its name.
        switch_cost: additional ms per image when equally many images leave at each exit, [E], at least 0. What one call
            leaves in the caches is not what a call that ends at another exit needs. Empty: no additional time.
    """

    flops: tuple[int, ...]
    ms: tuple[float, ...]
    criterion_costs: Mapping[str, CriterionCost]
    switch_cost: tuple[float, ...] = ()

    def mean(self, policy: Policy, share: NDArray[np.float64], unit: Unit) -> float:
        """Mean cost of an image under a policy.

        Args:
            policy: its criterion and thresholds decide what evaluating the criterion costs.
            share: share of the images that each exit answers, [E], sums to 1.
            unit: "latency" or "flops".

        Returns:
            Mean ms or multiply-adds per image.
        """
        if unit == "flops":
            return float(share @ self.flops)
        return float(share @ (self.mixed_traffic_ms(share) + self.criterion_ms(policy)))

    def relative(self, policy: Policy, unit: Unit) -> NDArray[np.float64]:
        """Cost of an image that each exit answers, as a share of the plain path to the last exit.

        Args:
            policy: its criterion counts; the switch cost does not.
            unit: "latency" or "flops".

        Returns:
            float64 [E]; 1 for the last exit without a criterion.
        """
        if unit == "flops":
            return np.array(self.flops) / self.flops[-1]
        return (np.array(self.ms) + self.criterion_ms(policy)) / self.ms[-1]

    def mixed_traffic_ms(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Time of an image that each exit answers when images leave at different exits, criteria not included.

        A call pays the switch cost as far as the call before it left at another exit: all of it where the shares are
        equal, nothing where all images leave at one exit.

        Args:
            share: share of the images that each exit answers, [E], sums to 1.

        Returns:
            ms, float64 [E].
        """
        extra = np.array(self.switch_cost or np.zeros(len(self.ms)))
        return np.array(self.ms) + extra * (1 - share) * len(self.ms) / (len(self.ms) - 1)

    def criterion_ms(self, policy: Policy) -> NDArray[np.float64]:
        """Time that a policy's criterion takes on the path to each exit.

        Args:
            policy: at exits where its threshold is infinite the criterion is not evaluated; a static policy has none.

        Returns:
            ms, float64 [E].
        """
        total = np.zeros(len(self.ms))
        if policy.criterion is not None:
            evaluated = np.isfinite(policy.thresholds)
            cost = self.criterion_costs[policy.criterion]
            total[1:] += np.cumsum(np.where(evaluated, cost.staying, 0.0))
            total[:-1] += np.where(evaluated, cost.leaving, 0.0)
        return total
