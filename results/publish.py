"""Publish a run: copy its records, splits, spec and plots to results/reference/, and write the pages about them.

The pages are its whole table, what its exit tables say of routing, and a third class by class where there are several.
The blocks about the study in README.md and docs/results.md are filled, where a file has one: its rows that tell most
between

    <!-- begin results/reference/NAME --> and <!-- end results/reference/NAME -->

the verdict's sentence between <!-- begin verdict NAME --> and <!-- end verdict NAME -->, and how `bench report` shows
it between <!-- begin screen NAME --> and <!-- end screen NAME -->. Everything is generated from the records. Usage:

    publish.py NAME            a run of results/runs
    publish.py NAME --pages    pages and blocks anew, from the records that are there already
    publish.py --spread NAME NAME ...    runs of several seeds, as results/reference/seeds/
    publish.py --ablation NAME FOLDER [AS]    what `bench ablate NAME` left there, as results/reference/AS/ (NAME)
    publish.py --probe NAME FOLDER    what `bench probe` left there, as results/reference/NAME/
"""

import os
import re
import shutil
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console

from bench.experiments.probe.result import Probe
from bench.experiments.stored import load
from bench.judge.seeds import open_repeat, spread
from bench.judge.verdict import verdict
from bench.records import Record, detector_id, load_records
from bench.report.classes import classes_page
from bench.report.first_screen import first_screen
from bench.report.formats import markdown
from bench.report.run_page import run_page, short_page
from bench.report.seeds import seeds_page as page_of_seeds
from bench.report.style import save
from bench.report.sweep import sweeps_page
from bench.report.sweep_figure import sweep_figure
from bench.study.sweep import sweeps

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "results/reference"
FILLED = (ROOT / "README.md", ROOT / "docs/results.md")
FIRST, LAST = 13, 6  # lines of the screen that the README has room for
KEPT = ("records", "spec.json", "splits.json", "pareto.png", "leavers.png")


def blocks(name: str) -> dict[str, str]:
    """What a page may say of a reference study: the name in a block's markers -> what stands between them."""
    records = load_records(REFERENCE / name)
    return {
        f"results/reference/{name}": f"\n{markdown(short_page(records))}",
        f"verdict {name}": verdict(records).sentence,
        f"screen {name}": f"\n```text\n{screen(records)}\n```\n",
    }


def screen(records: list[Record]) -> str:
    """How `bench report` begins and ends in a terminal of 100 columns: the first lines, and the verdict."""
    console = Console(file=StringIO(), width=100, color_system=None)
    shown = first_screen(records, Path(), "", console)
    first_words = " ".join(verdict(records).sentence.split()[:6])
    closing = shown[shown.rindex(first_words) :].split("\n\n")[0]
    return "\n".join([*shown.splitlines()[:FIRST], "...", *closing.splitlines()[:LAST]])


def filled(text: str, blocks: dict[str, str]) -> str:
    """A text with its blocks filled anew; what it has no markers for is left out."""
    for marker, content in blocks.items():
        begin, end = f"<!-- begin {marker} -->", f"<!-- end {marker} -->"
        pattern = f"{re.escape(begin)}.*?{re.escape(end)}"
        text = re.sub(pattern, lambda _, whole=f"{begin}{content}{end}": whole, text, flags=re.DOTALL)
    return text


def pages(name: str) -> dict[str, str]:
    """The pages about a reference study that its records alone can tell: file name -> Markdown."""
    records = load_records(REFERENCE / name)
    found, links = {}, "Other policies, criteria and controls: [routing.md](routing.md)."
    if classes := classes_page(records):
        found["classes.md"] = f"# {name}, class by class\n\n{markdown(classes)}"
        links += " Class by class: [classes.md](classes.md)."
    pictures = "![mAP against time](pareto.png)\n\n![Who leaves early](leavers.png)\n"
    return found | {"README.md": f"# {name}\n\n{markdown(run_page(records))}\n{links}\n\n{pictures}"}


def write(name: str) -> None:
    """The pages that need the records alone, and the blocks in README.md and docs/results.md."""
    for file, page in pages(name).items():
        (REFERENCE / name / file).write_text(page, encoding="utf-8")
    said = blocks(name)
    for page in FILLED:
        page.write_text(filled(page.read_text(encoding="utf-8"), said), encoding="utf-8")


def routing(source: Path, target: Path) -> None:
    """Write routing.md and its picture: the multi-exit detector that the verdict speaks of, and its fp32 original."""
    records = load_records(source)
    spoken = next(one for one in records if one.name == verdict(records).early)
    here = [one for one in records if len(one.per_exit) > 1 and one.runtime == spoken.runtime]
    own = {"strategy": spoken.strategy.split("+")[0], "variant": spoken.variant.removesuffix(f"-{spoken.precision}")}
    wanted = {detector_id(one, spoken.runtime) for one in (spoken, spoken.model_copy(update=own))}
    wanted &= {detector_id(one, one.runtime) for one in here}
    found = [one for name in sorted(wanted) for one in sweeps(source, detector=name)]
    for one in found:
        save(sweep_figure(one), target / f"sweep-{one.detector}.png")
    pictures = "\n".join(f"![{one.detector}](sweep-{one.detector}.png)\n" for one in found)
    (target / "routing.md").write_text(f"# Routing\n\n{markdown(sweeps_page(found))}\n{pictures}", encoding="utf-8")


def copy(name: str) -> None:
    """The run's own files in place of what was published of it before, and what its exit tables say."""
    source, target = ROOT / "results/runs" / name, REFERENCE / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for part in KEPT:
        (shutil.copytree if (source / part).is_dir() else shutil.copy2)(source / part, target / part)
    hide_folder(target / "spec.json")
    routing(source, target)


def hide_folder(spec: Path) -> None:
    """Where the data lay on this machine is nobody's concern."""
    shared = os.environ.get("BENCH_SHARED")
    if shared:
        spec.write_text(spec.read_text(encoding="utf-8").replace(shared, "$BENCH_SHARED"), encoding="utf-8")


def seeds_page(folder: Path = REFERENCE / "seeds") -> str:
    """The page about runs of several seeds, each with its records in a folder of its own."""
    runs = [open_repeat(one, one.name) for one in sorted(folder.iterdir()) if one.is_dir()]
    return f"# Several seeds\n\n{markdown(page_of_seeds(spread(runs)))}"


def copy_seeds(names: list[str]) -> None:
    """The records and specs of runs of several seeds, and the page about them."""
    target = REFERENCE / "seeds"
    shutil.rmtree(target, ignore_errors=True)
    for name in names:
        (target / name).mkdir(parents=True)
        shutil.copytree(ROOT / "results/runs" / name / "records", target / name / "records")
        shutil.copy2(ROOT / "results/runs" / name / "spec.json", target / name)
        hide_folder(target / name / "spec.json")
    (target / "README.md").write_text(seeds_page(target), encoding="utf-8")


def copy_ablation(name: str, source: Path, folder: str) -> None:
    """The files that `bench ablate NAME` left in a folder: result, table and picture."""
    target = REFERENCE / folder
    target.mkdir(parents=True, exist_ok=True)
    for kind in ("json", "md", "png"):
        shutil.copy2(source / f"{name}.{kind}", target)


def copy_probe(name: str, source: Path) -> None:
    """The files that `bench probe` left in a folder: result, table and pictures.

    Attention is drawn over images, so that picture is published of generated ones only.
    """
    target = REFERENCE / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    ours = load(Probe, source / "probe.json").data == "shapes"
    for file in ("probe.json", "probe.md", "tokens.png", "linear.png", *(["attention.png"] if ours else [])):
        shutil.copy2(source / file, target)


if __name__ == "__main__":
    first, *rest = sys.argv[1:]
    if first == "--spread":
        copy_seeds(rest)
    elif first == "--ablation":
        copy_ablation(rest[0], Path(rest[1]), rest[-1] if rest[2:] else rest[0])
    elif first == "--probe":
        copy_probe(rest[0], Path(rest[1]))
    else:
        if "--pages" not in rest:
            copy(first)
        write(first)
