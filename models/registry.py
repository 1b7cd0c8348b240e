"""Things found by name, of any kind: strategies, runtimes, families, criteria, readers, experiments.

What is ours is listed where the registry is made; what others bring joins through an entry-point group of their
package, or by `add`. Nothing is imported before it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar, cast

from models.errors import UserError, unknown

T = TypeVar("T")
OURS = "exitbench"


@dataclass(frozen=True)
class Entry:
    """One name of a registry.

    Args:
        name: by which it is found.
        target: the thing itself, or where it is: "module:attribute", imported when it is first used.
        summary: one line for lists; of an entry point, that of its package.
        origin: the package that has it.
    """

    name: str
    target: object
    summary: str
    origin: str


class Registry(Generic[T]):
    """A kind of thing by name.

    Args:
        kind: what its things are called in messages, for example "strategy".
        group: the entry-point group by which other packages add theirs, for example "exitbench.strategies".
        where: what a message about an unknown name points at, for example "--strategies".
        ours: name -> ("module:attribute" or the thing itself, one line for lists).
        reserved: names that nobody may bring, because they mean something that is no entry.
    """

    def __init__(
        self, kind: str, group: str, where: str, ours: Mapping[str, tuple[object, str]], reserved: Iterable[str] = ()
    ):
        self.kind, self.group, self.where, self.reserved = kind, group, where, frozenset(reserved)
        self._ours = {name: Entry(name, target, text, OURS) for name, (target, text) in ours.items()}
        self._loaded: dict[str, T] = {}
        self._frozen = False

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        found = dict(self._ours)
        for point in entry_points(group=self.group):
            self._join(found, Entry(point.name, point, _summary(point), _package(point)))
        return found

    def _join(self, entries: dict[str, Entry], entry: Entry) -> None:
        if entry.name in self.reserved:
            what = f"{entry.origin} brings the {self.kind} {entry.name!r}, a name that is taken"
            raise UserError(what, where=self.group, fix="uninstall it, or have it renamed")
        if entry.name in entries:
            first = entries[entry.name].origin
            what = f"two packages bring the {self.kind} {entry.name!r}: {first} and {entry.origin}"
            raise UserError(what, where=self.group, fix="uninstall one of them, or have it renamed")
        entries[entry.name] = entry

    def add(self, name: str, target: T | str, summary: str = "", origin: str = "this session") -> None:
        """Add one more.

        Args:
            name: by which it is found.
            target: the thing itself, or "module:attribute".
            summary: one line for lists.
            origin: who brings it, for messages.

        Raises:
            UserError: for a name that is taken, and once `freeze` was called.
        """
        if self._frozen:
            fix = "add it before the first run"
            raise UserError(f"the {self.kind} {name!r} comes too late", where=self.group, fix=fix)
        self._join(self._entries, Entry(name, target, summary, origin))

    def freeze(self) -> None:
        """From now on nothing can be added: a run has begun, and its names have to keep their meaning."""
        self._frozen = True

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        """The names, ours first."""
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def all(self) -> dict[str, T]:
        """Everything by name, ours first; imported now."""
        return {name: self.get(name) for name in self}

    def entries(self) -> list[Entry]:
        """What there is, ours first; nothing is loaded."""
        return list(self._entries.values())

    def check(self, name: str) -> None:
        """Refuse an unknown name.

        Raises:
            UserError: with the nearest known name.
        """
        if name not in self._entries:
            raise unknown(self.kind, name, self._entries, where=self.where)

    def get(self, name: str) -> T:
        """The thing behind a name, imported now if it has not been yet.

        Raises:
            UserError: as `check`, and when a package's entry point cannot be loaded. An import error of our own modules
                passes through.
        """
        self.check(name)
        if name not in self._loaded:
            self._loaded[name] = self._load(self._entries[name])
        return self._loaded[name]

    def _load(self, entry: Entry) -> T:
        if isinstance(entry.target, EntryPoint):
            try:
                return entry.target.load()
            except (ImportError, AttributeError) as error:
                what = f"the {self.kind} {entry.name!r} of {entry.origin} cannot be loaded: {error}"
                raise UserError(what, where=entry.target.value, fix="repair or uninstall that package") from error
        if isinstance(entry.target, str):
            module, _, attribute = entry.target.partition(":")
            found = import_module(module)
            return cast("T", getattr(found, attribute) if attribute else found)
        return cast("T", entry.target)


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an unnamed package"


def _summary(point: EntryPoint) -> str:
    if point.dist is None or "Summary" not in point.dist.metadata:
        return ""
    return point.dist.metadata["Summary"]
