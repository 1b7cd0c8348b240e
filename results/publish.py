"""Copy a run's records, splits, spec and plots to results/reference/, with its whole table as a page of its own, what
its exit tables say of routing on the fastest runtime as another, and a third class by class where there are several.
Fill the README's blocks about the study: the rows of the fastest runtime between

    <!-- begin results/reference/NAME --> and <!-- end results/reference/NAME -->

and the verdict's sentence between <!-- begin verdict NAME --> and <!-- end verdict NAME -->, each where it has one.
Everything is generated from the records. Usage: publish.py NAME, or publish.py NAME --pages to write pages and blocks
anew from the records that are there already."""

import os
import re
import shutil
import sys
from pathlib import Path

from bench.records import load_run
from bench.report.classes import classes_markdown
from bench.report.export import markdown
from bench.report.runtimes import by_runtime
from bench.report.sweep import export_sweeps
from bench.report.sweep_figure import sweep_figure
from bench.sweep import sweeps
from bench.verdict import verdict

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "results/reference"
KEPT = ("records", "spec.json", "splits.json", "pareto.png", "leavers.png")


def blocks(name: str) -> dict[str, str]:
    """What the README may say of a reference study: the name in a block's markers -> what stands between them."""
    records = load_run(REFERENCE / name)
    return {
        f"results/reference/{name}": f"\n{markdown(records, fastest_only=True)}",
        f"verdict {name}": verdict(records).sentence,
    }


def filled(text: str, blocks: dict[str, str]) -> str:
    """A text with its blocks filled anew; what it has no markers for is left out."""
    for marker, content in blocks.items():
        begin, end = f"<!-- begin {marker} -->", f"<!-- end {marker} -->"
        pattern = f"{re.escape(begin)}.*?{re.escape(end)}"
        text = re.sub(pattern, lambda _, whole=f"{begin}{content}{end}": whole, text, flags=re.DOTALL)
    return text


def pages(name: str) -> dict[str, str]:
    """The pages about a reference study that its records alone can tell: file name -> Markdown."""
    records = load_run(REFERENCE / name)
    found, links = {}, "Other policies, criteria and controls: [routing.md](routing.md)."
    if classes := classes_markdown(records):
        found["classes.md"] = f"# {name}, class by class\n\n{classes}"
        links += " Class by class: [classes.md](classes.md)."
    pictures = "![mAP against time](pareto.png)\n\n![Who leaves early](leavers.png)\n"
    return found | {"README.md": f"# {name}\n\n{markdown(records)}\n{links}\n\n{pictures}"}


def write(name: str) -> None:
    """The pages that need the records alone, and the README's blocks."""
    for file, page in pages(name).items():
        (REFERENCE / name / file).write_text(page)
    readme = ROOT / "README.md"
    readme.write_text(filled(readme.read_text(), blocks(name)))


def routing(source: Path, target: Path) -> None:
    """Write routing.md and its pictures: every multi-exit detector on the run's fastest runtime."""
    runtime = next(iter(by_runtime(load_run(source))))
    found = [one for one in sweeps(source) if one.detector.endswith(f"-{runtime}")]
    for one in found:
        sweep_figure(one, target / f"sweep-{one.detector}.png")
    pictures = "\n".join(f"![{one.detector}](sweep-{one.detector}.png)\n" for one in found)
    (target / "routing.md").write_text(f"# Routing\n\n{export_sweeps(found, 'markdown')}\n{pictures}")


def copy(name: str) -> None:
    """The run's own files in place of what was published of it before, and what its exit tables say."""
    source, target = ROOT / "results/runs" / name, REFERENCE / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for part in KEPT:
        (shutil.copytree if (source / part).is_dir() else shutil.copy2)(source / part, target / part)
    spec = target / "spec.json"
    shared = os.environ.get("BENCH_SHARED")
    if shared:  # where the data lay on this machine is nobody's concern
        spec.write_text(spec.read_text().replace(shared, "$BENCH_SHARED"))
    routing(source, target)


if __name__ == "__main__":
    if "--pages" not in sys.argv:
        copy(sys.argv[1])
    write(sys.argv[1])
