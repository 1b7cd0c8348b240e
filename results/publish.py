"""Copy a run's records, splits, spec and plots to results/reference/, with its whole table as a page of its own and
what its exit tables say of routing on the fastest runtime as another, and put the rows of that runtime into the README.
Table and rows are generated from the records. Usage: publish.py NAME"""

import os
import re
import shutil
import sys
from pathlib import Path

from bench.records import load_run
from bench.report.export import markdown
from bench.report.runtimes import by_runtime
from bench.report.sweep import export_sweeps
from bench.report.sweep_figure import sweep_figure
from bench.sweep import sweeps

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("records", "spec.json", "splits.json", "pareto.png", "leavers.png")


def block(name: str) -> str:
    """The README's table of a reference study, between its markers."""
    where = f"results/reference/{name}"
    table = markdown(load_run(ROOT / where), fastest_only=True)
    return f"<!-- begin {where} -->\n{table}<!-- end {where} -->"


def page(name: str) -> str:
    """The whole table of a reference study, as a page beside its records."""
    table = markdown(load_run(ROOT / "results/reference" / name))
    pictures = "![mAP against time](pareto.png)\n\n![Who leaves early](leavers.png)\n"
    return f"# {name}\n\n{table}\nOther policies, criteria and controls: [routing.md](routing.md).\n\n{pictures}"


def routing(source: Path, target: Path) -> None:
    """Write routing.md and its pictures: every multi-exit detector on the run's fastest runtime."""
    runtime = next(iter(by_runtime(load_run(source))))
    found = [one for one in sweeps(source) if one.detector.endswith(f"-{runtime}")]
    for one in found:
        sweep_figure(one, target / f"sweep-{one.detector}.png")
    pictures = "\n".join(f"![{one.detector}](sweep-{one.detector}.png)\n" for one in found)
    (target / "routing.md").write_text(f"# Routing\n\n{export_sweeps(found, 'markdown')}\n{pictures}")


def publish(name: str) -> None:
    source, target = ROOT / "results/runs" / name, ROOT / "results/reference" / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for part in KEPT:
        (shutil.copytree if (source / part).is_dir() else shutil.copy2)(source / part, target / part)
    spec = target / "spec.json"
    shared = os.environ.get("BENCH_SHARED")
    if shared:  # where the data lay on this machine is nobody's concern
        spec.write_text(spec.read_text().replace(shared, "$BENCH_SHARED"))
    routing(source, target)
    (target / "README.md").write_text(page(name))
    readme = ROOT / "README.md"
    pattern = rf"<!-- begin results/reference/{name} -->.*?<!-- end results/reference/{name} -->"
    readme.write_text(re.sub(pattern, lambda _: block(name), readme.read_text(), flags=re.DOTALL))


if __name__ == "__main__":
    publish(sys.argv[1])
