"""Strategies by name. Ours are listed here; anyone else's join through the entry-point group `exitbench.strategies`
(a dataclass with an `apply` as in strategies/base.py). `a+b` applies b to what a returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from importlib.metadata import entry_points
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from models.errors import UserError, unknown
from strategies.base import Candidate, Fit, Images, Score, Strategy
from strategies.baseline import Baseline
from strategies.early_exit import EarlyExit
from strategies.longer import Longer
from strategies.prune import Prune
from strategies.quant import Quant
from strategies.resize import Resize
from strategies.truncate import Truncate

OURS: dict[str, type] = {
    "baseline": Baseline,
    "longer": Longer,
    "early_exit": EarlyExit,
    "prune": Prune,
    "quant": Quant,
    "resize": Resize,
    "truncate": Truncate,
}
GROUP = "exitbench.strategies"


def available() -> dict[str, type]:
    """Every strategy that can be named, ours first."""
    return OURS | {point.name: point.load() for point in entry_points(group=GROUP)}


def describe(strategy: type) -> str:
    """The first sentence of the module a strategy lives in."""
    import sys

    text = " ".join((sys.modules[strategy.__module__].__doc__ or strategy.__doc__ or "").split())
    return text.split(". ")[0].rstrip(".")


def check(names: Iterable[str]) -> None:
    """UserError with a suggestion unless every part of every `a+b` is known."""
    known = available()
    for name in names:
        for part in name.split("+"):
            if part not in known:
                raise unknown("strategy", part, known, where="--strategies")


def build(name: str, options: Mapping[str, Mapping[str, Any]]) -> Strategy:
    """The strategy `name`, or the composition `a+b`, from each part's table of options.

    Raises UserError for an unknown name, an unknown option or a value of the wrong type.
    """
    check([name])
    parts = [_one(part, options.get(part, {})) for part in name.split("+")]
    return parts[0] if len(parts) == 1 else Composed(name, tuple(parts))


def _one(name: str, options: Mapping[str, Any]) -> Strategy:
    kind = available()[name]
    names = [field.name for field in fields(kind)]
    for key in options:
        if key not in names:
            raise unknown("option", key, names, where=f"strategy {name}")
    try:
        return TypeAdapter(with_config(ConfigDict(strict=False))(kind)).validate_python(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "options"
        raise UserError(f"{where}: {first['msg']}", where=f"strategy {name}", fix="see docs/strategies.md") from error


@dataclass(frozen=True)
class Composed:
    """Strategies applied one after the other; candidates multiply."""

    name: str
    parts: tuple[Strategy, ...]

    def apply(
        self, start: Candidate, *, fit: Fit, score: Score, train: Images, val: Images, seed: int
    ) -> list[Candidate]:
        made = [start]
        for position, part in enumerate(self.parts):
            made = [
                _joined(self.name, before, candidate) if position else replace(candidate, strategy=self.name)
                for before in made
                for candidate in part.apply(before, fit=fit, score=score, train=train, val=val, seed=seed)
            ]
        return made


def _joined(name: str, before: Candidate, after: Candidate) -> Candidate:
    """What two strategies made, under both their variants and notes."""
    variant, note = f"{before.variant}-{after.variant}", f"{before.note}; {after.note}"
    return replace(after, strategy=name, variant=variant, note=note)
