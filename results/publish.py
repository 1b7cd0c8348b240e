"""Copy a run's records, splits, spec and plots to results/reference/, with its whole table as a page of its own, what
its exit tables say of routing as another, and a third class by class where there are several.
Fill the README's blocks about the study: its rows that tell most between

    <!-- begin results/reference/NAME --> and <!-- end results/reference/NAME -->

and the verdict's sentence between <!-- begin verdict NAME --> and <!-- end verdict NAME -->, each where it has one.
Everything is generated from the records. Usage:

    publish.py NAME            a run of results/runs
    publish.py NAME --pages    pages and blocks anew, from the records that are there already
    publish.py --spread NAME NAME ...    runs of several seeds, as results/reference/seeds/
    publish.py --ablation NAME FOLDER [AS]    what `bench ablate NAME` left there, as results/reference/AS/ (NAME)
    publish.py --probe NAME FOLDER    what `bench probe` left there, as results/reference/NAME/"""

import os
import re
import shutil
import sys
from pathlib import Path

from bench.experiments.probe.result import Probe
from bench.experiments.stored import load
from bench.judge.seeds import open_repeat, spread
from bench.judge.verdict import verdict
from bench.records import detector_id, load_records
from bench.report.classes import classes_markdown
from bench.report.export import markdown, short_markdown
from bench.report.spread import export_spread
from bench.report.sweep import export_sweeps
from bench.report.sweep_figure import sweep_figure
from bench.study.sweep import sweeps

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "results/reference"
KEPT = ("records", "spec.json", "splits.json", "pareto.png", "leavers.png")


def blocks(name: str) -> dict[str, str]:
    """What the README may say of a reference study: the name in a block's markers -> what stands between them."""
    records = load_records(REFERENCE / name)
    return {
        f"results/reference/{name}": f"\n{short_markdown(records)}",
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
    records = load_records(REFERENCE / name)
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
    """Write routing.md and its picture: the multi-exit detector that the verdict speaks of, and its fp32 original."""
    records = load_records(source)
    spoken = next(one for one in records if one.name == verdict(records).early)
    here = [one for one in records if len(one.per_exit) > 1 and one.runtime == spoken.runtime]
    own = {"strategy": spoken.strategy.split("+")[0], "variant": spoken.variant.removesuffix(f"-{spoken.precision}")}
    wanted = {detector_id(one, spoken.runtime) for one in (spoken, spoken.model_copy(update=own))}
    wanted &= {detector_id(one, one.runtime) for one in here}
    found = [one for name in sorted(wanted) for one in sweeps(source, detector=name)]
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
    hide_folder(target / "spec.json")
    routing(source, target)


def hide_folder(spec: Path) -> None:
    """Where the data lay on this machine is nobody's concern."""
    shared = os.environ.get("BENCH_SHARED")
    if shared:
        spec.write_text(spec.read_text().replace(shared, "$BENCH_SHARED"))


def seeds_page(folder: Path = REFERENCE / "seeds") -> str:
    """The page about runs of several seeds, each with its records in a folder of its own."""
    runs = [open_repeat(one, one.name) for one in sorted(folder.iterdir()) if one.is_dir()]
    return f"# Several seeds\n\n{export_spread(spread(runs), 'markdown')}"


def copy_seeds(names: list[str]) -> None:
    """The records and specs of runs of several seeds, and the page about them."""
    target = REFERENCE / "seeds"
    shutil.rmtree(target, ignore_errors=True)
    for name in names:
        (target / name).mkdir(parents=True)
        shutil.copytree(ROOT / "results/runs" / name / "records", target / name / "records")
        shutil.copy2(ROOT / "results/runs" / name / "spec.json", target / name)
        hide_folder(target / name / "spec.json")
    (target / "README.md").write_text(seeds_page(target))


def copy_ablation(name: str, source: Path, folder: str) -> None:
    """The files that `bench ablate NAME` left in a folder: result, table and picture."""
    target = REFERENCE / folder
    target.mkdir(parents=True, exist_ok=True)
    for kind in ("json", "md", "png"):
        shutil.copy2(source / f"{name}.{kind}", target)


def copy_probe(name: str, source: Path) -> None:
    """The files that `bench probe` left in a folder: result, table and pictures. Attention is drawn over images, so
    that picture is published of generated ones only."""
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
