"""Views of the same records: pages of tables and text, the formats they are written in, and figures."""

from bench.report.exit_profile_figure import exit_profile_figure
from bench.report.first_screen import first_screen
from bench.report.formats import FORMATS, formatted
from bench.report.pareto import pareto_figure
from bench.report.run_page import full_page, run_page
from bench.report.style import save

__all__ = [
    "FORMATS",
    "exit_profile_figure",
    "first_screen",
    "formatted",
    "full_page",
    "pareto_figure",
    "run_page",
    "save",
]
