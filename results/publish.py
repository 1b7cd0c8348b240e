"""Copy a run's records, splits, spec and plot to results/reference/, with its whole table as a page of its own, and put
the rows of its fastest runtime into the README; both are generated from the records. Usage: publish.py NAME"""

import os
import re
import shutil
import sys
from pathlib import Path

from bench.records import load_run
from bench.report.export import markdown

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("records", "spec.json", "splits.json", "pareto.png")


def block(name: str) -> str:
    """The README's table of a reference study, between its markers."""
    where = f"results/reference/{name}"
    table = markdown(load_run(ROOT / where), fastest_only=True)
    return f"<!-- begin {where} -->\n{table}<!-- end {where} -->"


def page(name: str) -> str:
    """The whole table of a reference study, as a page beside its records."""
    table = markdown(load_run(ROOT / "results/reference" / name))
    return f"# {name}\n\n{table}\n![mAP against time](pareto.png)\n"


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
    (target / "README.md").write_text(page(name))
    readme = ROOT / "README.md"
    pattern = rf"<!-- begin results/reference/{name} -->.*?<!-- end results/reference/{name} -->"
    readme.write_text(re.sub(pattern, lambda _: block(name), readme.read_text(), flags=re.DOTALL))


if __name__ == "__main__":
    publish(sys.argv[1])
