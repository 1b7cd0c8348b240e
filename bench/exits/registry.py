"""Criteria by name, imported when they are asked for.

Ours are listed here; anyone else's join through the entry-point group `exitbench.criteria`: a function from a View to
one score, as `bench.exits.criteria` says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from models.errors import unknown
from models.registry import Registry

if TYPE_CHECKING:
    from bench.exits.criteria import Criterion

LEARNED = "learned"  # `bench.routing.learned`: a criterion that is trained for each detector

CRITERIA: Registry[Criterion] = Registry(
    "criterion",
    "exitbench.criteria",
    "criteria",
    {
        name: (f"bench.exits.criteria:{name}", summary)
        for name, summary in {
            "mean_foreground": "mean probability of any object: high on full scenes",
            "mean_background": "mean probability of no object: high on scenes with little to find",
            "max_score": "the most confident class score",
            "mean_top_scores": "mean class score of the ten most confident anchors",
            "margin": "mean lead of the best class over the next at the ten most confident anchors",
            "low_entropy": "one minus the mean entropy of the anchors' classes",
            "low_weighted_entropy": "the same, each anchor weighted by its probability of an object",
            "expected_objects": "sum of the detections' scores; takes an NMS",
            "few_objects": "one over one plus expected_objects; takes an NMS",
            "agreement": "share of detections shared with the exit before; takes an NMS of each",
        }.items()
    },
    reserved=(LEARNED, "reinforced"),  # the second: `bench.routing.reinforced`
)


def names() -> tuple[str, ...]:
    """List every criterion that a policy may be asked to use.

    Returns:
        Names, the learned one last.
    """
    return (*CRITERIA, LEARNED)


def check(wanted: Iterable[str]) -> None:
    """Check that every name is a criterion.

    Args:
        wanted: names.

    Raises:
        UserError: one is not; it says the nearest known name.
    """
    for name in wanted:
        if name not in names():
            raise unknown("criterion", name, names(), where=CRITERIA.where)
