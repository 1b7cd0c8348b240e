"""A training step allocates and frees the same large blocks again and again. glibc's malloc maps each anew and hands it
back, and every page of it costs a fault: 70,000 a step of 8 images, a fifth of its CPU time. Here it is told to keep
them, as far as the heap has room for them in one piece."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # malloc.h
DEFAULT_TRIM, DEFAULT_MAPS = 128 * 1024, 65536  # man mallopt


@contextmanager
def kept_memory() -> Iterator[None]:
    """Inside, malloc neither maps large blocks one by one nor returns what is freed; afterwards it does as before, so
    that what is timed later does not depend on whether something was trained. Without glibc nothing happens."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        yield
        return
    mallopt(MMAP_MAX, 0)
    mallopt(TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        mallopt(MMAP_MAX, DEFAULT_MAPS)
        mallopt(TRIM_THRESHOLD, DEFAULT_TRIM)
        ctypes.CDLL(None).malloc_trim(0)
