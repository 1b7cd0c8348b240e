"""The policy of a record, to be executed again."""

from __future__ import annotations

import math
from pathlib import Path

from bench.exits.learned import load_gates
from bench.exits.policy import Policy, static
from bench.exits.registry import CRITERIA
from bench.records import Record
from models.errors import UserError


def load_policy(record: Record, run_dir: Path) -> Policy:
    """Build the policy of a record's operating point as it was measured.

    Args:
        record: of a finished run.
        run_dir: folder of that run, in which the weights of learned criteria lie.

    Returns:
        A policy that `Deployed.detect` can execute; of a static point the one of its exit.

    Raises:
        UserError: its criterion is not installed, or it is learned and its weights were not kept, or are not there.
    """
    policy = routing(record)
    if policy.criterion is None:
        return policy
    if policy.criterion not in CRITERIA.reserved:
        CRITERIA.get(policy.criterion)  # refuses one that is not installed
        return policy
    kept = record.operating_point.weights
    if kept is None:
        what = f"the weights of its criterion {policy.criterion!r} were not kept, so it cannot be executed"
        raise UserError(what, where=record.name, fix="run the benchmark again: this version keeps them")
    gates = load_gates(Path(run_dir) / kept)
    if policy.criterion not in gates:
        what = f"holds no weights of the criterion {policy.criterion!r}"
        raise UserError(what, where=str(Path(run_dir) / kept), fix="run the benchmark again")
    return Policy(policy.criterion, policy.thresholds, gates[policy.criterion])


def routing(record: Record) -> Policy:
    """Build the policy of a record as far as an exit table needs it.

    The table holds the scores of learned criteria: their weights are left out.

    Args:
        record: of any run.

    Returns:
        Criterion and thresholds; a policy that cannot be executed where the criterion is learned.
    """
    point, exits = record.operating_point, len(record.per_exit)
    if point.criterion is None:
        return static(record.exit_share.index(max(record.exit_share)), exits)
    thresholds = point.thresholds if point.thresholds is not None else (None,) * (exits - 1)
    return Policy(point.criterion, tuple(math.inf if one is None else one for one in thresholds))
