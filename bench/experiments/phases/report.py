"""The replayed rounds as a table, and the files of the experiment."""

from __future__ import annotations

from pathlib import Path

from bench.experiments.phases.figure import phases_figure
from bench.experiments.phases.result import Phases, Run
from bench.files import replacing
from bench.report.formats import markdown
from bench.report.page import Page, simple_table
from bench.report.style import save

HEADERS = ("recipe", "anchors", "exit 1", "exit 2", "full", "routed", "exits %", "temperatures", "alarms", "outcome")


def write_report(found: Phases, folder: Path) -> None:
    """Write FOLDER/phases.md and FOLDER/phases.png, each whole or not at all."""
    with replacing(folder / "phases.md") as partial:
        partial.write_text(markdown(page(found)), encoding="utf-8")
    save(phases_figure(found, notes(found)[-1]), folder / "phases.png")


def page(found: Phases) -> Page:
    """The table with its notes; what was not expected stands out."""
    words = set(HEADERS) - set(HEADERS[2:6])
    styles = ["" if run.as_expected else "bold red" for run in found.runs]
    rows = [cells(run) for run in found.runs]
    return Page([simple_table(HEADERS, rows, words=words, notes=notes(found), styles=styles)])


def cells(run: Run) -> list[str]:
    """One run under HEADERS."""
    surprise = "" if run.as_expected else f", expected: {run.expected}"
    return [
        f"{run.recipe} {run.tried}",
        run.assignment,
        *(f"{value:.3f}" for value in (*run.map_per_exit, run.map)),
        shares(run),
        " / ".join(f"{value:.2f}" for value in run.temperatures),
        ", ".join(run.alarms) or "-",
        run.outcome + surprise,
    ]


def shares(run: Run) -> str:
    """How many images each exit answers, in per cent, e.g. '12/30/58'."""
    return "/".join(f"{100 * share:.0f}" for share in run.exit_share)


def notes(found: Phases) -> list[str]:
    """What the table is made of, and whether everything came out as it should."""
    chosen = found.settings
    train, val, test = chosen.images
    surprises = [f"{run.recipe} {run.assignment}" for run in found.runs if not run.as_expected]
    verdict = "every recipe met its expectation" if not surprises else f"not as expected: {', '.join(surprises)}"
    return [
        f"generated shapes as one class, {chosen.pixels} px, seed {chosen.seed}; {train} training, {val} val and "
        f"{test} test images, test split {found.splits['test'][:12]}",
        f"{chosen.baseline_epochs} epochs without exits, {chosen.epochs} with them, {chosen.batch_size} images a step",
        "exit 1, exit 2, full: mAP when that exit answers every test image; routed: mAP of the recipe's own policy",
        f"{sum(run.outcome == 'caught' for run in found.runs)} of {len(found.runs)} caught by an alarm; {verdict}",
    ]
