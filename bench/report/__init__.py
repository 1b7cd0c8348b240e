"""Views of the same records: the terminal's table, the plot, and the formats that other tools read."""

from bench.report.export import export
from bench.report.plot import pareto
from bench.report.table import print_report

__all__ = ["export", "pareto", "print_report"]
