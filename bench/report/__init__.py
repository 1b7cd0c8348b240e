"""Views of the same records: the terminal's table, the plot, and the formats that other tools read."""

from bench.report.exit_profile_figure import exit_profile_figure
from bench.report.export import export
from bench.report.pareto import pareto_figure
from bench.report.style import save
from bench.report.terminal import print_report

__all__ = ["exit_profile_figure", "export", "pareto_figure", "print_report", "save"]
