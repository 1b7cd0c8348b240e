"""All that is wrong with somebody's data, collected, so that it is said at once and not one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from models.errors import UserError

SHOWN = 10  # faults that a message lists


class DataFaults(UserError):
    """Several faults of one dataset. Its text lists the first ten.

    Args:
        faults: two or more.
        where: the data.
    """

    def __init__(self, faults: Sequence[UserError], *, where: str):
        self.faults = tuple(faults)
        lines = [f"  {fault}" for fault in self.faults[:SHOWN]]
        more = len(self.faults) - SHOWN
        lines += [f"  and {more:,} more"] if more > 0 else []
        super().__init__("\n".join([f"{len(self.faults):,} faults", *lines]), where=where)

    def written(self) -> Path | None:
        """Write all faults into a file of their own, where a message cannot list them.

        Returns:
            Its path; None where all of them are in the message.
        """
        if len(self.faults) <= SHOWN:
            return None
        with NamedTemporaryFile("w", prefix="bench-faults-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.writelines(f"{fault}\n" for fault in self.faults)
        return Path(file.name)


class Faults:
    """Collects faults while a reader goes on."""

    def __init__(self) -> None:
        self.found: list[UserError] = []

    def add(self, what: str, *, where: str, fix: str) -> None:
        """Note a fault; arguments as of `UserError`."""
        self.found.append(UserError(what, where=where, fix=fix))

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Note the UserError that ends the block, and go on behind it."""
        try:
            yield
        except UserError as error:
            self.found += error.faults if isinstance(error, DataFaults) else [error]

    def check(self, where: str) -> None:
        """Raise what was collected.

        Args:
            where: the data.

        Raises:
            UserError: one fault as it is, several as DataFaults.
        """
        if len(self.found) == 1:
            raise self.found[0]
        if self.found:
            raise DataFaults(self.found, where=where)
