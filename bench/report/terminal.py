"""A run as the terminal shows it: the tables, what to know about them, alarms, and at the end the verdict."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from bench.judge.verdict import verdict
from bench.records import Record
from bench.report.classes import classes_table
from bench.report.criteria import criteria_table
from bench.report.exit_profile import exit_profile_table
from bench.report.notes import alarms, behind, notes
from bench.report.table import batches_table, exits_table, table

STYLES = {"WORTH IT": "bold green", "NOT WORTH IT": "bold red", "UNDECIDED": "bold yellow", None: "bold"}


def print_report(records: Sequence[Record], console: Console) -> None:
    """Print it all. Raises UserError when the records were measured on different test splits."""
    console.print(table(records))
    for more in (exits_table, classes_table, batches_table, criteria_table, exit_profile_table):
        if shown := more(records):
            console.print("", shown)
    for line in alarms(records):
        console.print(Text(line, style="bold red"))
    for line in notes(records):
        console.print(Text(line))
    found = verdict(records)
    console.print("")
    style = "bold" if any(r.forced for r in records) else STYLES[found.decision]
    console.print(Text(found.sentence, style=style))
    for line in filter(None, (found.at_equal_map, behind(found, records))):
        console.print(Text(line))
