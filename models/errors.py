"""The one error a person can cause and repair: it says what is wrong, where, and what to do next, in one line.

Everything else that is raised is a bug and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in the input.

    Args:
        what: happened.
        where: a file, an option, an id.
        fix: what to try.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = ""):
        self.what, self.where, self.fix = what, where, fix
        super().__init__(": ".join(part for part in (where, what) if part) + (f" ({fix})" if fix else ""))


def suggest(name: str, known: Iterable[str], limit: int = 20) -> str:
    """The text of a fix, for example "did you mean 'person'? known: person, chair"."""
    names = list(known)
    folded = {candidate.lower(): candidate for candidate in names}
    close = difflib.get_close_matches(name.lower(), folded, n=1)
    hint = f"did you mean {folded[close[0]]!r}? " if close else ""
    more = f", ... ({len(names)} in all)" if len(names) > limit else ""
    return f"{hint}known: {', '.join(names[:limit])}{more}"


def unknown(kind: str, name: str, known: Iterable[str], *, where: str) -> UserError:
    """The UserError for a name nobody knows: the nearest known one, and the list."""
    return UserError(f"unknown {kind} {name!r}", where=where, fix=suggest(name, known))
