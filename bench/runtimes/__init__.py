"""Turning a candidate into something that runs.

One file per runtime, found by name (registry.py); `deploy` builds it. What is named here is imported when it is first
used, so that the list of runtimes is there without torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.runtimes.base import Answer, Deployed, deploy, runs_on, takes_batches

__all__ = ["Answer", "Deployed", "deploy", "runs_on", "takes_batches"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from bench.runtimes import base

        return getattr(base, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
