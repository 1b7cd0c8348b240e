"""Experiments about early exits themselves: the rounds that failed (`phases`), where exits pay (`positions`), and what
makes a YOLOS learn (`lessons`)."""

from pathlib import Path

PHASES = Path("results/runs/phases")
LESSONS = Path("results/runs/lessons")
