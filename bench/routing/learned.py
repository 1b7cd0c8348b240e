"""The learned gate: would going on change this image's answer for the better? A logistic regression on what the exits
so far have shown (`bench.exits.features`). Trained on train, with thresholds from val like any criterion. Where such
gates come from: Scardapane et al., Why Should We Add Early Exits to Neural Networks?, 2020."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
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
    """The gate of a table's detector. matches: one per exit.

    The question to each inner exit is whether its F1 (`bench.accuracy.per_image`) is below the last exit's; where the
    answer is the same for all images the gate says that. Raises UserError for a table made on val, which chooses
    thresholds, or on test.
    """
    if table.role != "train":
        raise UserError(
            f"a gate may not be trained on the {table.role} split", where="learned gate", fix="make the table on train"
        )
    quality = [f1(one) for one in matches]
    as_good = [(one >= quality[-1]).astype(float) for one in quality[:-1]]
    return LearnedGate(tuple(_fit(features_up_to(table, exit), good) for exit, good in enumerate(as_good)))


def with_gate(table: ExitTable, gate: LearnedGate, name: str = LEARNED) -> ExitTable:
    """The table with the gate's score among those of the other criteria; the last exit, which nobody asks, has 0."""
    scores = np.zeros(table.features.shape[:2])
    for exit in range(table.exits - 1):
        scores[:, exit] = [gate.score(exit, row) for row in features_up_to(table, exit)]
    return replace(table, scores=table.scores | {name: scores})


def features_up_to(table: ExitTable, exit: int) -> np.ndarray:
    """What the exits up to this one have shown: float64 [N, (exit + 1) F]."""
    return np.ascontiguousarray(table.features[:, : exit + 1].reshape(len(table.features), -1))


def _fit(shown: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Weights [1 + F] of a ridge logistic regression of good [N] in {0, 1} on shown [N, F], the constant first. The
    constant is not penalised, so where all images are alike it alone answers (and is kept finite)."""
    inputs, middle, spread = standardised(shown)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logits = inputs @ weights
        value = np.mean(np.logaddexp(0, logits) - good * logits) + PENALTY / 2 * weights[1:] @ weights[1:]
        slope = inputs.T @ (expit(logits) - good) / len(good)
        slope[1:] += PENALTY * weights[1:]
        return value, slope

    bounds = [CONSTANT] + [(None, None)] * shown.shape[1]
    weights = minimize(loss, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds).x
    return for_raw(weights, middle, spread)


def standardised(shown: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What exits have shown [N, F] as inputs [N, 1 + F], a column of ones and every feature with mean 0 and standard
    deviation 1 (0 where it is constant); and the means and deviations [F] that it had."""
    middle, spread = shown.mean(axis=0), shown.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    return np.column_stack([np.ones(len(shown)), (shown - middle) / spread]), middle, spread


def for_raw(weights: np.ndarray, middle: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Weights [1 + F] of standardised features as weights of the features themselves."""
    raw = np.r_[weights[0], weights[1:] / spread]
    raw[0] -= raw[1:] @ middle
    return raw
