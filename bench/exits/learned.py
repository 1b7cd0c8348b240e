"""Criteria with weights: gates that were trained for one deployed detector.

`bench.routing.learned` and `bench.routing.reinforced` train them. Their file is RUN/tables/DETECTOR/gates.npz, so that
their policies can be executed again later.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from bench.exits.view import View
from bench.files import replacing
from models.errors import UserError

GATES = "gates.npz"
BROKEN = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, eq=False)
class LearnedGate:
    """A criterion that knows one deployed detector.

    Attributes:
        weights: of exit k, float64 [1 + (k + 1) F]: the constant, then one for each feature (`bench.exits.features`) of
            the exits up to k.
    """

    weights: tuple[NDArray[np.float64], ...]

    def __call__(self, view: View) -> float:
        """Say how sure the gate is that this exit should answer.

        Args:
            view: the exit's view of the image.

        Returns:
            Probability in [0, 1].
        """
        shown: list[NDArray[np.float64]] = []
        one: View | None = view
        while one is not None:
            shown.append(one.features)
            one = one.previous
        return self.score(view.exit, np.concatenate(shown[::-1]))

    def score(self, exit: int, shown: NDArray[np.float64]) -> float:
        """Say the same from features.

        Args:
            exit: which exit, from 0, not the last.
            shown: features of the exits up to this one, float64 [(exit + 1) F].

        Returns:
            Probability in [0, 1].
        """
        weights = self.weights[exit]
        return float(expit(weights[0] + weights[1:] @ shown))


def save_gates(gates: Mapping[str, LearnedGate], folder: Path) -> None:
    """Write the weights of a detector's gates to FOLDER/gates.npz, all or nothing.

    Args:
        gates: by the name of the criterion, e.g. "learned".
        folder: of the detector's tables.
    """
    arrays: dict[str, Any] = {
        f"{name}/{exit}": weights for name, gate in gates.items() for exit, weights in enumerate(gate.weights)
    }
    with replacing(folder / GATES) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


def load_gates(path: Path) -> dict[str, LearnedGate]:
    """Read what `save_gates` wrote, bit by bit.

    Args:
        path: of the file.

    Returns:
        Gates by the name of the criterion.

    Raises:
        UserError: it is missing or broken.
    """
    weights: dict[str, dict[int, NDArray[np.float64]]] = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for key in file.files:
                name, _, exit = key.rpartition("/")
                weights.setdefault(name, {})[int(exit)] = file[key]
        return {name: LearnedGate(tuple(own[exit] for exit in range(len(own)))) for name, own in weights.items()}
    except FileNotFoundError as error:
        raise UserError("no weights of its gates", where=str(path), fix="run the benchmark again") from error
    except BROKEN as error:
        raise UserError(f"not the weights of gates: {error}", where=str(path), fix="run the benchmark again") from error
