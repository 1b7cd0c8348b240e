"""Functions compiled by numba, and where their machine code is kept.

It lies beside the source or in the user's cache. Where neither can be written (a package on a read-only place, run by
somebody without a home), numba refuses to cache as soon as the module is imported; then it goes to `scratch_folder`, or
is compiled anew in each process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar, overload

import numba
from numba.core import config

from models.scratch import home_folder, scratch_folder

Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def compiled(function: Function) -> Function: ...
@overload
def compiled(*, parallel: bool) -> Callable[[Function], Function]: ...
def compiled(function: Any = None, *, parallel: bool = False) -> Any:
    """Compile a function when it is first called, and keep its machine code where that is possible.

    Args:
        function: in the part of Python that numba compiles; None: what is returned takes it.
        parallel: whether its `prange` loops run on several threads.
    """
    if function is None:
        return lambda given: _kept(given, parallel)
    return _kept(function, parallel)


def _kept(function: Callable[..., Any], parallel: bool) -> Any:
    usual = config.CACHE_DIR
    for place in _places(usual):
        config.CACHE_DIR = place
        try:
            return numba.njit(cache=True, parallel=parallel)(function)
        except RuntimeError as error:
            if "no locator available" not in str(error):
                raise
        finally:
            config.CACHE_DIR = usual
    return numba.njit(parallel=parallel)(function)


def _places(usual: str) -> Iterator[str]:
    """Folders to try, as numba's setting has them; empty: beside the source, or the user's cache."""
    if usual or home_folder() is not None:  # without a home, its "~" is a folder in the current one
        yield usual
    if (folder := scratch_folder()) is not None:
        yield str(folder / "numba")
