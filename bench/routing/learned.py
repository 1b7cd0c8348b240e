"""The learned gate: would going on change this image's answer for the better?

A logistic regression on what the exits so far have shown (`bench.exits.features`). Trained on train, with thresholds
from val like any criterion. Where such gates come from: Scardapane et al., Why Should We Add Early Exits to Neural
Networks?, 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from bench.accuracy.matching import Matches
from bench.accuracy.per_image import f1
from bench.exits.learned import LearnedGate
from bench.exits.registry import LEARNED
from bench.measure.exit_table import ExitTable
from models.errors import UserError

PENALTY = 1e-2  # on the squared weights of standardised features, per image
CONSTANT = (-10.0, 10.0)  # of a constant: certainty, and still a number


def learn(table: ExitTable, matches: Sequence[Matches]) -> LearnedGate:
    """Train the gate of a table's detector.

    The question to each inner exit is whether its F1 (`bench.accuracy.per_image`) is below the last exit's; where the
    answer is the same for all images the gate says that.

    Args:
        table: made on train, with features.
        matches: the same detections matched, one entry per exit.

    Returns:
        The gate.

    Raises:
        UserError: the table was made on val, which chooses thresholds, or on test.
    """
    if table.role != "train":
        raise UserError(
            f"a gate may not be trained on the {table.role} split", where="learned gate", fix="make the table on train"
        )
    quality = [f1(one) for one in matches]
    as_good = [(one >= quality[-1]).astype(float) for one in quality[:-1]]
    return LearnedGate(tuple(_fit(features_up_to(table, exit), good) for exit, good in enumerate(as_good)))


def with_gate(table: ExitTable, gate: LearnedGate, name: str = LEARNED) -> ExitTable:
    """Add a gate's scores to those of the other criteria.

    Args:
        table: of N images, with features.
        gate: of the same detector.
        name: of the scores.

    Returns:
        The table with the scores; the last exit, which nobody asks, has 0.
    """
    scores = np.zeros(table.features.shape[:2])
    for exit in range(table.exits - 1):
        scores[:, exit] = [gate.score(exit, row) for row in features_up_to(table, exit)]
    return replace(table, scores=table.scores | {name: scores})


def features_up_to(table: ExitTable, exit: int) -> NDArray[np.float64]:
    """Take what the exits up to one have shown.

    Args:
        table: of N images, with F features an exit.
        exit: the last of them, from 0.

    Returns:
        float64 [N, (exit + 1) F].
    """
    return np.ascontiguousarray(table.features[:, : exit + 1].reshape(len(table.features), -1))


def _fit(shown: NDArray[np.float64], good: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights [1 + F] of a ridge logistic regression of good [N] in {0, 1} on shown [N, F], the constant first.

    The constant is not penalised, so where all images are alike it alone answers (and is kept finite).
    """
    inputs, middle, spread = standardised(shown)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = inputs @ weights
        value = np.mean(np.logaddexp(0, logits) - good * logits) + PENALTY / 2 * weights[1:] @ weights[1:]
        slope = inputs.T @ (expit(logits) - good) / len(good)
        slope[1:] += PENALTY * weights[1:]
        return float(value), slope

    bounds = [CONSTANT] + [(None, None)] * shown.shape[1]
    weights = minimize(loss, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds).x
    return for_raw(weights, middle, spread)


def standardised(
    shown: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Bring features to mean 0 and standard deviation 1 (0 where one is constant), with a column of ones before them.

    Args:
        shown: what exits have shown, float64 [N, F].

    Returns:
        Inputs, float64 [N, 1 + F], and the means and deviations that the features had, float64 [F] each.
    """
    middle, spread = shown.mean(axis=0), shown.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    return np.column_stack([np.ones(len(shown)), (shown - middle) / spread]), middle, spread


def for_raw(
    weights: NDArray[np.float64], middle: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Turn weights of standardised features into weights of the features themselves.

    Args:
        weights: the constant first, float64 [1 + F].
        middle: means of the features, float64 [F].
        spread: their standard deviations, float64 [F].

    Returns:
        The constant first, float64 [1 + F].
    """
    raw = np.r_[weights[0], weights[1:] / spread]
    raw[0] -= raw[1:] @ middle
    return raw
