"""Strategies by name, imported when one is built.

Ours are listed here; anyone else's join through the entry-point group `exitbench.strategies` (a dataclass with an
`apply` as in strategies/base.py). `a.x` is a with the options of its variant x, `a+b` applies b to what a returns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from models.errors import UserError, unknown
from models.registry import Registry
from models.renamed import renamed

if TYPE_CHECKING:
    from strategies.base import Candidate, Fit, Images, Score, Strategy

OURS = {
    "baseline": ("strategies.baseline:Baseline", "the detector that all others are measured against"),
    "longer": ("strategies.longer:Longer", "the baseline trained on: what more training alone gives"),
    "early_exit": ("strategies.early_exit:EarlyExit", "SSDLite with exits after inner blocks"),
    "multi_exit_yolos": ("strategies.multi_exit_yolos:MultiExitYolos", "YOLOS with exits after inner layers"),
    "prune": ("strategies.prune:Prune", "structured pruning: whole channels, or attention heads, go"),
    "quant": ("strategies.quant:Quant", "int8 after training, fine-tuned where that loses too much"),
    "resize": ("strategies.resize:Resize", "the same detector at smaller inputs"),
    "resolution_exit": ("strategies.resolution_exit:ResolutionExit", "a small input first, the full one if asked"),
    "truncate": ("strategies.truncate:Truncate", "a plain shallower network, trained for itself"),
}
STRATEGIES: Registry[type[Strategy]] = Registry("strategy", "exitbench.strategies", "--strategies", OURS)
RENAMED = {  # options of ours by the names they had
    "context": "previous_exit_context",
    "decay": "layer_decay",
    "inherited_rate": "pretrained_lr_scale",
    "joint_rate": "joint_learning_rate",
    "lessons": "auxiliary_losses",
    "rate": "learning_rate",
    "trunk_rate": "trunk_lr_scale",
    "views": "augmentations",
}
LABEL = re.compile(r"\w[\w-]*", re.ASCII)  # it becomes part of file names, in which . + and - mean something


@dataclass(frozen=True)
class Part:
    """A strategy under its options, as one part of `a.x+b`.

    Args:
        name: what it is registered as.
        label: of its variant, put in front of the variant of every candidate; empty: none.
        strategy: the strategy itself.
    """

    name: str
    label: str
    strategy: Strategy

    def apply(
        self, initial: Candidate, *, fit: Fit, score: Score, train: Images, val: Images, seed: int
    ) -> list[Candidate]:
        """Return the strategy's candidates under the part's label."""
        initial = replace(initial, stopped_name="")  # what a part makes of it is called after the part
        made = self.strategy.apply(initial, fit=fit, score=score, train=train, val=val, seed=seed)
        return [
            replace(
                one,
                variant="-".join(filter(None, (self.label, one.variant))),
                stopped_name=one.stopped_name or one.strategy,
            )
            for one in made
        ]


@dataclass(frozen=True)
class Composed:
    """Strategies applied one after the other; candidates multiply.

    Args:
        parts: in the order in which they are applied.
    """

    parts: tuple[Part, ...]

    def apply(
        self, initial: Candidate, *, fit: Fit, score: Score, train: Images, val: Images, seed: int
    ) -> list[Candidate]:
        """Return what the last part makes of all that the parts before it made."""
        name, made = "+".join(part.name for part in self.parts), [initial]
        for position, part in enumerate(self.parts):
            made = [
                _joined(name, before, candidate) if position else replace(candidate, strategy=name)
                for before in made
                for candidate in part.apply(before, fit=fit, score=score, train=train, val=val, seed=seed)
            ]
        return made


def today(strategy: str, option: str) -> str:
    """Return the name that an option has today.

    Args:
        strategy: the option's strategy; those that others bring keep their names.
        option: a name, old or new.
    """
    return RENAMED.get(option, option) if strategy in OURS else option


def build(name: str, options: Mapping[str, Mapping[str, Any]]) -> Strategy:
    """Build the strategy `a`, its variant `a.x`, or a composition `a.x+b`.

    Args:
        name: as it is asked for.
        options: by strategy. A table among a strategy's options holds those of a variant, which go before its own.

    Raises:
        UserError: an unknown name, variant or option, or a value of the wrong type.
    """
    made = parts(name, options)
    return made[0] if len(made) == 1 else Composed(made)


def parts(name: str, options: Mapping[str, Mapping[str, Any]]) -> tuple[Part, ...]:
    """Return what `build` puts together: one part for each strategy in the name.

    Args:
        name: as for `build`.
        options: as for `build`.

    Raises:
        UserError: as `build` does.
    """
    return tuple(_part(part, options) for part in name.split("+"))


def _part(text: str, options: Mapping[str, Mapping[str, Any]]) -> Part:
    name, dot, label = text.partition(".")
    kind = STRATEGIES.get(name)
    if not is_dataclass(kind):
        fix = "see strategies/base.py"
        raise UserError(
            f"{kind.__name__} is no dataclass, whose fields are the options", where=f"strategy {name}", fix=fix
        )
    table = renamed(options.get(name, {}), partial(today, name), where=f"strategy {name}")
    names = [field.name for field in fields(kind)]
    variants = {key: value for key, value in table.items() if isinstance(value, Mapping) and key not in names}
    own = {key: value for key, value in table.items() if key not in variants}
    if dot:
        own |= renamed(_variant(name, label, variants), partial(today, name), where=f"strategy {text}")
    return Part(name, label, _typed(kind, own, names, where=f"strategy {text}"))


def _variant(name: str, label: str, variants: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    if not LABEL.fullmatch(label):
        fix = "letters, digits, - and _, and no - in front"
        raise UserError(f"{label!r} cannot name a variant", where=f"strategy {name}", fix=fix)
    if today(name, label) in variants:
        return variants[today(name, label)]
    if variants:
        raise unknown("variant", label, variants, where=f"strategy {name}")
    fix = f"put its options under [strategy.{name}.{label}] in a spec file"
    raise UserError(f"no variant {label!r}", where=f"strategy {name}", fix=fix)


def _typed(kind: type, options: Mapping[str, Any], names: list[str], *, where: str) -> Strategy:
    for key in options:
        if key not in names:
            raise unknown("option", key, names, where=where)
    laid_over = {field.name: field.metadata["options"] for field in fields(kind) if "options" in field.metadata}
    own = {key: value for key, value in options.items() if key not in laid_over}
    tables = {key: options[key] for key in laid_over if isinstance(options.get(key), Mapping)}
    checked = {key: _overlay(kind, own, table, laid_over[key], f"{where}.{key}") for key, table in tables.items()}
    try:
        return TypeAdapter(with_config(ConfigDict(strict=False))(kind)).validate_python({**options, **checked})
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(str(part) for part in first["loc"]) or "options"
        raise UserError(f"{option}: {first['msg']}", where=where, fix="see docs/strategies.md") from error


def _overlay(
    kind: type, own: Mapping[str, Any], table: Mapping[str, Any], names: Sequence[str], where: str
) -> dict[str, Any]:
    """A table of options that go before the strategy's own where the strategy says so, each of its own type.

    Args:
        kind: the strategy.
        own: the strategy's own options.
        table: the options that go before.
        names: of those that may.
        where: what an error points at.
    """
    for key in table:
        if key not in names:
            raise unknown("option", key, names, where=where)
    both = {**own, **table}
    made = _typed(kind, both, list(both), where=where)
    return {key: getattr(made, key) for key in table}


def _joined(name: str, before: Candidate, after: Candidate) -> Candidate:
    """What two strategies made, under both their variants, notes and names when stopped."""
    variant, note = f"{before.variant}-{after.variant}", f"{before.note}; {after.note}"
    stopped_name = f"{before.stopped_name}+{after.stopped_name}"
    return replace(after, strategy=name, variant=variant, note=note, stopped_name=stopped_name)
