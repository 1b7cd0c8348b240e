"""Records of older schemas, brought up to the present one as they are read.

A step keeps what was measured and computes anew, from the raw samples in the record, what has another meaning since;
what nobody measured then is null or empty. The files stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bench.stats import group_medians, interval, resample

Tree = dict[str, Any]


def upgrade(found: Mapping[str, Any]) -> Tree:
    """Bring a record up to the present schema.

    Args:
        found: the record as it was stored, under any schema version in UPGRADES or the present one.

    Returns:
        The record as the present schema has it; the argument is left alone.
    """
    tree = dict(found)
    while (version := tree.get("schema_version")) in UPGRADES:
        tree = UPGRADES[version](tree) | {"schema_version": version + 1}
    if isinstance(point := tree.get("operating_point"), Mapping) and "promise" not in point:
        promised = str(point.get("name")).startswith("risk")  # records did not say so otherwise
        tree["operating_point"] = {**point, "promise": promised}
    return tree


def _intervals_of_percentiles(tree: Tree) -> Tree:
    """Schema 1 had no intervals of percentiles, and did not say how it was warmed up."""
    unknown = {"p50_interval": None, "p90_interval": None, "p99_interval": None, "warmup": None, "steady": False}
    return tree | {"latency_ms": unknown | tree["latency_ms"]}


def _mean_of_medians(tree: Tree) -> Tree:
    """Schema 2 averaged all samples; since then the mean is over images, of each one's median over repeats.

    Ratios of means (`speed_up`, `chain_overhead`, `noise`) stay as they were measured.
    """
    latency = tree["latency_ms"]
    times = group_medians(latency["samples"], latency["images"])
    drawn = times[resample(len(times), len(tree["map_bootstrap"]), tree["seed"])].mean(axis=1)
    return tree | {"latency_ms": latency | {"mean": float(np.mean(times)), "mean_interval": interval(drawn)}}


UPGRADES: dict[int, Callable[[Tree], Tree]] = {1: _intervals_of_percentiles, 2: _mean_of_medians}
