"""The decision before any long training, in words, from the linear probe's AP50 at the first two positions.

The thresholds were written down before anything was probed, so that they could not be bent to what came out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Answer = Literal["feasible", "not clear", "useless"]

ENOUGH = (0.20, 0.40)  # AP50 of a linear layer at the first and the second position from which an exit can work there:
# a head of several layers only adds to it, and the second position, at twice the depth, has to offer twice as much
USELESS = 0.05  # AP50 below which there is nothing that a head could build on


def judge(ap50: float, enough: float) -> Answer:
    """Whether an exit can work here; exactly on a threshold nothing is clear.

    Args:
        ap50: of the linear probe, in [0, 1].
        enough: AP50 above which it can.

    Returns:
        The answer.
    """
    return "feasible" if ap50 > enough else "useless" if ap50 < USELESS else "not clear"


def answers(ap50: Sequence[float]) -> list[Answer]:
    """What is decided at the first two positions, or at the only one."""
    return [judge(value, enough) for value, enough in zip(ap50, ENOUGH, strict=False)]


def sentences(names: Sequence[str], ap50: Sequence[float], control: Sequence[float]) -> list[str]:
    """The rule in words: a sentence for each of the positions that it decides on, and what follows.

    Args:
        names: of the positions, such as "layer 3".
        ap50: of the linear probe after each.
        control: the same of the untrained trunk; empty: not measured.

    Returns:
        The sentences, the consequence last.
    """
    said = []
    for number, (name, value, answer) in enumerate(zip(names, ap50, answers(ap50), strict=False)):
        bound = f"feasible above {ENOUGH[number]:.2f}, useless below {USELESS:.2f}"
        line = f"{name}: AP50 {value:.3f} of the linear probe ({bound}): {answer}"
        if control:
            line += f"; an untrained trunk reaches {control[number]:.3f}"
        said.append(line)
    return [*said, CONSEQUENCES[answers(ap50)[0]].format(names[0])]


CONSEQUENCES = {
    "feasible": "an exit after {} is worth training",
    "not clear": "the linear probe does not settle {}: a head of several layers may, at the price of a training",
    "useless": "leave {} alone: exit later, or use another network",
}
