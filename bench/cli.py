"""The command line: parse, call, print.

Every mistake a person can make ends as one line on stderr and exit status 2; `bench check` exits with 1 when a
regression check fails, and Ctrl-C with 130.
"""

from __future__ import annotations

import shlex
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.api import listed
from bench.api import run as carry_out
from bench.data.faults import DataFaults
from bench.data_commands import Split, SplitBy, SplitSeed
from bench.data_commands import app as data
from bench.experiments.commands import app as ablate
from bench.experiments.probe.commands import probe_command
from bench.folder import RUNS, find
from bench.progress import hushed
from models.errors import UserError
from models.scratch import settle_libraries

Format = Annotated[str, typer.Option(help="table, markdown, csv, latex or json.")]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Are early exits worth it in object detection, on your images and your machine? Start with: bench run",
)
app.add_typer(ablate, name="ablate")
app.add_typer(data, name="data")


@app.command("run")
def run_command(
    strategies: Annotated[
        str | None, typer.Option(help="Comma-separated; a+b applies b to what a returns, a.x is a's variant x.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Settings to start from (bench ls); by model and data when left out.")
    ] = None,
    spec: Annotated[Path | None, typer.Option(help="A TOML file in place of a preset.")] = None,
    data: Annotated[
        str | None, typer.Option(help="shapes, a folder, coco:DIR (or yolo, voc, mot) or a TOML file (docs/data.md).")
    ] = None,
    classes: Annotated[str | None, typer.Option(help="Comma-separated class names; all when left out.")] = None,
    max_images_per_class: Annotated[
        int | None,
        typer.Option("--max-images-per-class", "--cap", help="At most so many training images per class."),
    ] = None,
    split: Split = None,
    split_by: SplitBy = None,
    split_seed: SplitSeed = None,
    model: Annotated[str | None, typer.Option(help="ssdlite, yolos, yolos-tiny, yolos-small or yolos-base.")] = None,
    weights: Annotated[str | None, typer.Option(help="What the model starts from, or none (docs/specs.md).")] = None,
    runtime: Annotated[str | None, typer.Option(help="Comma-separated; bench ls names them.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads for training and inference.")] = None,
    device: Annotated[str | None, typer.Option(help="What trains: cpu, or cuda in bfloat16.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of data, training and bootstrap.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run; the preset's when left out.")] = None,
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = RUNS,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run of this name.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Go on below the foundation check; stamps every record.")
    ] = False,
) -> None:
    """Train or load a baseline, apply strategies, measure them all, print the table and the verdict.

    Examples:

      bench run

      bench run --preset smoke

      bench run --data coco:DIR --classes person --weights FILE.pth

      bench run --model yolos --strategies multi_exit_yolos,prune,quant

      bench run --strategies early_exit,prune,prune+quant --runtime openvino,onnxruntime --name mine
    """
    try:
        done = carry_out(
            strategies,
            preset=preset,
            spec=spec,
            data=data,
            classes=classes,
            max_images_per_class=max_images_per_class,
            split=split,
            split_by=split_by,
            split_seed=split_seed,
            model=model,
            weights=weights,
            runtime=runtime,
            threads=threads,
            device=device,
            seed=seed,
            name=name,
            out=out,
            resume=resume,
            force=force,
        )
    except KeyboardInterrupt:
        again = shlex.join([*sys.argv[1:], *([] if resume else ["--resume"])])
        print(f"bench: interrupted; what is trained is kept, go on with: bench {again}", file=sys.stderr)
        raise typer.Exit(130) from None
    write_tables(done.folder)
    show(done.folder, called(done.folder), "table")


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="Name of a run, or its folder.")],
    every: Annotated[bool, typer.Option("--all", help="Every point, table and note.")] = False,
    format: Format = "table",
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = RUNS,
) -> None:
    """Print what matters of a run again, and draw its pictures; or all there is.

    Examples:

      bench report default

      bench report default --all

      bench report results/reference/coco-person --format markdown
    """
    show(find(run, out), run, format, every)


@app.command("compare")
def compare_command(
    a: Annotated[str, typer.Argument(help="Name of a run, or its folder.")],
    b: Annotated[str, typer.Argument(help="Another one of the same test split and seed.")],
    format: Format = "table",
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = RUNS,
) -> None:
    """Say what changed from run A to run B, record by record: mAP and time, with paired intervals.

    Examples:

      bench compare before after

      bench compare results/reference/coco-person mine --format markdown
    """
    from bench.judge.compare import compare
    from bench.records import load_records
    from bench.report.comparison import comparison_page
    from bench.report.formats import FORMATS, formatted

    FORMATS.check(format)
    found = compare(load_records(find(a, out)), load_records(find(b, out)))
    print(formatted(comparison_page(found, (a, b)), format), end="")


@app.command("spread")
def spread_command(
    runs: Annotated[list[str], typer.Argument(help="Names of two or more runs, or their folders.")],
    format: Format = "table",
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = RUNS,
) -> None:
    """Put runs that differ in their seed only together: mean and spread, record by record, and every verdict.

    Examples:

      bench spread s1 s2 s3

      bench spread results/reference/coco-person s1 --format markdown
    """
    from bench.judge.seeds import open_repeat, spread
    from bench.report.formats import FORMATS, formatted
    from bench.report.seeds import seeds_page

    FORMATS.check(format)
    found = spread([open_repeat(find(run, out), run) for run in runs])
    print(formatted(seeds_page(found), format), end="")


@app.command("sweep")
def sweep_command(
    run: Annotated[str, typer.Argument(help="Name of a run, or its folder.")],
    cost: Annotated[str | None, typer.Option(help="latency or flops: what policies are to be cheap in.")] = None,
    budget: Annotated[list[str] | None, typer.Option(help="Mean cost of an image: 3ms, 250MFLOPs; repeat it.")] = None,
    tolerance: Annotated[list[float] | None, typer.Option(help="Share of mAP to lose on val; repeat it.")] = None,
    criteria: Annotated[str | None, typer.Option(help="Comma-separated; all that are stored when left out.")] = None,
    detector: Annotated[str | None, typer.Option(help="One of the folders in the run's tables/.")] = None,
    format: Format = "table",
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = RUNS,
) -> None:
    """Ask a run's stored exit tables for other policies, without the model, and draw sweep-DETECTOR.png.

    What is left out is as the run asked for it.

    Examples:

      bench sweep default

      bench sweep default --cost flops --budget 250MFLOPs --budget 3ms --tolerance 0.02

      bench sweep mine --criteria max_score,learned --format csv
    """
    from bench.report.formats import FORMATS, formatted
    from bench.report.style import save
    from bench.report.sweep import sweeps_page
    from bench.report.sweep_figure import sweep_figure
    from bench.study.sweep import sweeps

    FORMATS.check(format)
    folder, chosen = find(run, out), listed(criteria)
    found = sweeps(
        folder,
        cost=cost,
        budgets=budget or (),
        tolerances=tolerance or (),
        criteria=chosen,
        detector=detector,
    )
    print(formatted(sweeps_page(found), format), end="")
    if format == "table":
        drawn = [save(sweep_figure(one), folder / f"sweep-{one.detector}.png") for one in found]
        print(f"\npictures: {', '.join(map(str, drawn))}")


@app.command("gate", hidden=True)  # its first name
@app.command()
def check(
    run: Annotated[str, typer.Argument(help="Name of a run, or its folder.")],
    against: Annotated[Path, typer.Option(help="TOML file of regression checks.")] = Path("results/gates.toml"),
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = RUNS,
) -> None:
    """Make a run's regression checks; exit status 1 and one line per check that fails.

    Example:

      bench check default --against results/gates.toml
    """
    from bench.judge.regression import failed_checks, load_checks
    from bench.records import load_records

    failed = failed_checks(load_records(find(run, out)), load_checks(against))
    for line in failed:
        print(line)
    if failed:
        raise typer.Exit(1)
    print(f"{run}: every check of {against} holds")


@app.command("ls")
def list_command() -> None:
    """List all that goes by a name (strategies, runtimes, data, criteria, ...), and who brought it."""
    from bench.registries import registries
    from bench.spec import describe_presets
    from models.registry import OURS

    rows = [(one.kind, each.name, each.summary, each.origin) for one in registries() for each in one.entries()]
    rows += [("preset", name, text, OURS) for name, text in describe_presets().items()]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("kind", "name", "what it is", "from"):
        table.add_column(column, no_wrap=column != "what it is")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console(width=100 if not sys.stdout.isatty() else None).print(table)


def called(folder: Path) -> str:
    """What the commands find a run by: its name, where the runs usually are, else its folder."""
    return folder.name if folder.parent == RUNS else str(folder)


def write_tables(folder: Path) -> None:
    """RUN/report.md: every table of a run."""
    from bench.files import replacing
    from bench.records import load_records
    from bench.report import formatted, full_page

    with replacing(folder / "report.md") as partial:
        partial.write_text(formatted(full_page(load_records(folder)), "markdown"), encoding="utf-8")


def show(folder: Path, name: str, format: str, every: bool = False) -> None:
    """Draw a run's pictures and print its first screen, or print it in full or in another format."""
    from bench.records import load_records
    from bench.report import (
        FORMATS,
        exit_profile_figure,
        first_screen,
        formatted,
        full_page,
        pareto_figure,
        run_page,
        save,
    )

    FORMATS.check(format)
    found = load_records(folder)
    if format != "table" or every:
        print(formatted(full_page(found) if every else run_page(found), format), end="")
        return
    for file, figure in {"pareto.png": pareto_figure(found), "leavers.png": exit_profile_figure(found)}.items():
        if figure:
            save(figure, folder / file)
    print(first_screen(found, folder, name, Console(width=None if sys.stdout.isatty() else 100)), end="")


app.command("probe")(probe_command)


@hushed()
def main() -> None:
    """The `bench` command."""
    settle_libraries()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may know less than UTF-8
    try:
        app()
    except UserError as error:
        print(f"bench: {error}", file=sys.stderr)
        if isinstance(error, DataFaults) and (path := error.written()):
            print(f"bench: all of them: {path}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.filename is None:
            raise
        print(f"bench: {error.filename}: {error.strerror}", file=sys.stderr)
        raise SystemExit(2) from None
    except UnicodeEncodeError as error:
        if sys.getfilesystemencoding() == "utf-8":
            raise
        what = f"no name for a file in this locale, which has {error.encoding} only"
        print(f"bench: {UserError(what, where=error.object, fix='run with LC_ALL=C.UTF-8')}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
