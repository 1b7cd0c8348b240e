"""Exits by resolution: the baseline at a small input first, and at its own only for images that ask for it.

Nothing is trained; temperatures are fitted on val.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.errors import UserError
from models.resolution import resolution_chain
from models.temperature import fit_temperatures
from strategies.base import Candidate, Fit, Images, Score
from strategies.resize import sides


@dataclass(frozen=True)
class ResolutionExit:
    """Chains the baseline at smaller inputs and at its own.

    Args:
        scales: shares of the input's side, in (0, 1), increasing, one exit each before the full one.
        multiple: sides are rounded to it, px.
        criteria: names of the criteria that a policy may use; all of them when none is named.
    """

    scales: tuple[float, ...] = (0.5,)
    multiple: int = 32
    criteria: tuple[str, ...] = ()

    def apply(
        self, initial: Candidate, *, fit: Fit, score: Score, train: Images, val: Images, seed: int
    ) -> list[Candidate]:
        """Return one candidate, with an exit per scale and one at the full size."""
        sizes = sides(initial.detector.size, self.scales, self.multiple)
        try:
            detector = resolution_chain(initial.detector, sizes)
        except ValueError as error:
            raise UserError(str(error), where="strategy resolution_exit", fix="change its scales") from error
        fit_temperatures(detector, val)
        variant = "-".join(f"{size}px" for size in sizes)
        note = f"the baseline at {', '.join(map(str, sizes))} px, then at {initial.detector.size}"
        made = Candidate("resolution_exit", variant, detector, criteria=self.criteria, note=note, stopped_name="resize")
        return [made]
