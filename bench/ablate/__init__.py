"""Experiments about early exits themselves: the rounds that failed (`phases`), and where exits pay (`positions`)."""

from pathlib import Path

PHASES = Path("results/runs/phases")
