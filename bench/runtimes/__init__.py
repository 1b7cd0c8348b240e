"""Turning a candidate into something that runs. One file per runtime; `deploy` finds it by name."""

from bench.runtimes.base import RUNTIMES, Answer, Deployed, deploy, runs_on, takes_batches

__all__ = ["RUNTIMES", "Answer", "Deployed", "deploy", "runs_on", "takes_batches"]
