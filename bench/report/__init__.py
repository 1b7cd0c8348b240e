"""Views of the same records: the terminal's table, the plot, and the formats that other tools read."""

from bench.report.export import export
from bench.report.leavers import leavers_figure
from bench.report.plot import pareto, pareto_figure, save
from bench.report.terminal import print_report

__all__ = ["export", "leavers_figure", "pareto", "pareto_figure", "print_report", "save"]
