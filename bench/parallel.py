"""Doing one thing to many items in threads, with a progress bar, so that Ctrl-C ends it at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bench.progress import bar

T = TypeVar("T")
R = TypeVar("R")


def each(label: str, do: Callable[[T], R], items: Sequence[T], threads: int) -> Iterator[R]:
    """Yield what a function gives for each item, in their order.

    Args:
        label: what the progress bar says.
        do: the function; it should release the interpreter's lock, as decoding and hashing do.
        items: what it is called with.
        threads: how many.
    """
    pool = ThreadPoolExecutor(threads)
    try:
        with bar(label, len(items)) as advance:
            for one in pool.map(do, items):
                yield one
                advance()
    finally:
        pool.shutdown(cancel_futures=True)  # what has not begun by then would be waited for


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
