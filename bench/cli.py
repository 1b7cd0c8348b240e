"""The command line: parse, call, print. Every mistake a person can make ends as one line on stderr and exit status 2;
`bench gate` exits with 1 when a gate is broken, and Ctrl-C with 130."""

from __future__ import annotations

import logging
import shlex
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.data.convert.commands import app as data
from bench.experiments.commands import app as ablate
from bench.experiments.probe.commands import probe_command
from models.errors import UserError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Are early exits worth it in object detection, on your images and your machine? Start with: bench run",
)
app.add_typer(ablate, name="ablate")
app.add_typer(data, name="data")
RUNS = Path("results/runs")


@app.command("run")
def run_command(
    strategies: Annotated[
        str | None, typer.Option(help="Comma-separated; a+b applies b to what a returns, a.x is a's variant x.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Settings to start from (bench ls); by model and data when left out.")
    ] = None,
    spec: Annotated[Path | None, typer.Option(help="A TOML file in place of a preset.")] = None,
    data: Annotated[str | None, typer.Option(help="shapes, coco:DIR or a TOML file (docs/data.md).")] = None,
    classes: Annotated[str | None, typer.Option(help="Comma-separated class names; all when left out.")] = None,
    cap: Annotated[int | None, typer.Option(help="At most so many training images per class.")] = None,
    model: Annotated[str | None, typer.Option(help="ssdlite, yolos, yolos-tiny, yolos-small or yolos-base.")] = None,
    weights: Annotated[str | None, typer.Option(help="What the model starts from (docs/specs.md).")] = None,
    runtime: Annotated[
        str | None, typer.Option(help="Comma-separated: openvino, onnxruntime, inductor, eager.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads for training and inference.")] = None,
    device: Annotated[str | None, typer.Option(help="What trains: cpu, or cuda in bfloat16.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of data, training and bootstrap.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run; the preset's when left out.")] = None,
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = RUNS,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run of this name.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Go on where the foundation check fails; stamps every record.")
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
    from bench.spec import read

    overrides = {
        "strategies": names(strategies),
        "data.source": data,
        "data.classes": names(classes),
        "data.cap": cap,
        "model.name": model,
        "model.weights": weights,
        "runtimes": names(runtime),
        "threads": threads,
        "device": device,
        "seed": seed,
        "name": name,
    }
    preset = preset or default_preset(model, data)
    plan = read(preset, spec, overrides)
    folder = claim(out / plan.name, plan, resume)
    from bench.pipeline import run

    try:
        run(plan, folder, force=force)
    except KeyboardInterrupt:
        again = shlex.join([*sys.argv[1:], *([] if resume else ["--resume"])])
        print(f"bench: interrupted; what is trained is kept, go on with: bench {again}", file=sys.stderr)
        raise typer.Exit(130) from None
    show(folder, "table")


def default_preset(model: str | None, data: str | None) -> str:
    """The preset for a model and data on which nothing else is said."""
    from bench.spec import presets
    from models.families import family_of

    if model in presets():
        return model
    if data in (None, "shapes"):
        return "default"
    own = f"photographs-{family_of(model)}" if model else ""
    return own if own in presets() else "photographs"


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="Name of a run, or its folder.")],
    format: Annotated[str, typer.Option(help="table, json, csv or markdown.")] = "table",
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = RUNS,
) -> None:
    """Print a run's table and verdict again and draw its pareto.png.

    Examples:

      bench report default

      bench report results/reference/coco-person --format markdown
    """
    show(find(run, out), format)


@app.command("compare")
def compare_command(
    a: Annotated[str, typer.Argument(help="Name of a run, or its folder.")],
    b: Annotated[str, typer.Argument(help="Another one of the same test split and seed.")],
    format: Annotated[str, typer.Option(help="table, json, csv or markdown.")] = "table",
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = RUNS,
) -> None:
    """Say what changed from run A to run B, record by record: mAP and time, with paired intervals.

    Examples:

      bench compare before after

      bench compare results/reference/coco-person mine --format markdown
    """
    from bench.judge.compare import compare
    from bench.records import load_records
    from bench.report.comparison import export_comparison, print_comparison

    found = compare(load_records(find(a, out)), load_records(find(b, out)))
    if format == "table":
        print_comparison(found, (a, b), Console(width=None if sys.stdout.isatty() else 100))
    else:
        print(export_comparison(found, (a, b), format), end="")


@app.command("spread")
def spread_command(
    runs: Annotated[list[str], typer.Argument(help="Names of two or more runs, or their folders.")],
    format: Annotated[str, typer.Option(help="table, json, csv or markdown.")] = "table",
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = RUNS,
) -> None:
    """Put runs that differ in their seed only together: mean and spread, record by record, and every verdict.

    Examples:

      bench spread s1 s2 s3

      bench spread results/reference/coco-person s1 --format markdown
    """
    from bench.judge.seeds import open_repeat, spread
    from bench.report.spread import export_spread, print_spread

    found = spread([open_repeat(find(run, out), run) for run in runs])
    if format == "table":
        print_spread(found, Console(width=None if sys.stdout.isatty() else 100))
    else:
        print(export_spread(found, format), end="")


@app.command("sweep")
def sweep_command(
    run: Annotated[str, typer.Argument(help="Name of a run, or its folder.")],
    cost: Annotated[str | None, typer.Option(help="latency or flops: what policies are to be cheap in.")] = None,
    budget: Annotated[list[str] | None, typer.Option(help="Mean cost of an image: 3ms, 250MFLOPs; repeat it.")] = None,
    tolerance: Annotated[list[float] | None, typer.Option(help="Share of mAP to lose on val; repeat it.")] = None,
    criteria: Annotated[str | None, typer.Option(help="Comma-separated; all that are stored when left out.")] = None,
    detector: Annotated[str | None, typer.Option(help="One of the folders in the run's tables/.")] = None,
    format: Annotated[str, typer.Option(help="table, json, csv or markdown.")] = "table",
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = RUNS,
) -> None:
    """Ask a run's stored exit tables for other policies, without the model, and draw sweep-DETECTOR.png.

    What is left out is as the run asked for it.

    Examples:

      bench sweep default

      bench sweep default --cost flops --budget 250MFLOPs --budget 3ms --tolerance 0.02

      bench sweep mine --criteria max_score,learned --format csv
    """
    from bench.report.sweep import FORMATS, export_sweeps, print_sweep
    from bench.report.sweep_figure import sweep_figure
    from bench.study.sweep import sweeps
    from models.errors import unknown

    if format not in FORMATS:
        raise unknown("format", format, FORMATS, where="--format")
    folder, chosen = find(run, out), names(criteria)
    asked = {"cost": cost, "budgets": budget or (), "tolerances": tolerance or ()}
    found = sweeps(folder, criteria=chosen, detector=detector, **asked)
    if format != "table":
        print(export_sweeps(found, format), end="")
        return
    for one in found:
        print_sweep(one, Console(width=None if sys.stdout.isatty() else 100))
        picture = folder / f"sweep-{one.detector}.png"
        sweep_figure(one, picture)
        print(f"\nplot: {picture}\n")


@app.command()
def gate(
    run: Annotated[str, typer.Argument(help="Name of a run, or its folder.")],
    against: Annotated[Path, typer.Option(help="TOML file of gates.")] = Path("results/gates.toml"),
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = RUNS,
) -> None:
    """Check a run against regression gates; exit status 1 and one line per broken gate.

    Example:

      bench gate default --against results/gates.toml
    """
    from bench.judge.regression import check, load_gates
    from bench.records import load_records

    broken = check(load_records(find(run, out)), load_gates(against))
    for line in broken:
        print(line)
    if broken:
        raise typer.Exit(1)
    print(f"{run}: every gate of {against} holds")


@app.command("ls")
def list_command() -> None:
    """List strategies, runtimes, presets, data and criteria."""
    from bench.data.spec import KINDS
    from bench.exits.criteria import CRITERIA
    from bench.runtimes import RUNTIMES
    from bench.spec import describe_presets
    from strategies.registry import available, describe

    rows = [("strategy", name, describe(kind)) for name, kind in available().items()]
    rows += [("runtime", name, text) for name, text in RUNTIMES.items()]
    rows += [("preset", name, text) for name, text in describe_presets().items()]
    rows += [("data", name, text) for name, text in KINDS.items()]
    rows += [("criterion", name, (criterion.__doc__ or "").strip()) for name, criterion in CRITERIA.items()]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("kind", "name", "what it is"):
        table.add_column(column, no_wrap=column != "what it is")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console(width=100 if not sys.stdout.isatty() else None).print(table)


def names(text: str | None) -> list[str] | None:
    """A comma-separated option as a list; None when it was not given."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def find(run: str, out: Path) -> Path:
    """The folder of a run given by name or by path."""
    return Path(run) if Path(run).is_dir() else out / run


def claim(folder: Path, plan, resume: bool) -> Path:
    """The run's folder, made ready. A folder in which nothing was trained or measured yet is as good as none; otherwise
    UserError unless it is to be resumed with the same spec."""
    from bench.files import replacing

    path, text = folder / "spec.json", plan.model_dump_json(indent=2)
    if not any((folder / part).exists() for part in ("checkpoints", "records")):
        for part in (path, folder / "splits.json"):
            part.unlink(missing_ok=True)
    if path.exists() and not resume:
        raise UserError(
            "this run exists already", where=str(folder), fix="go on with --resume, or choose another --name"
        )
    if path.exists() and path.read_text() != text:
        raise UserError(
            "this run was started with other settings",
            where=str(path),
            fix="repeat those, or choose another --name",
        )
    with replacing(path) as partial:
        partial.write_text(text)
    return folder


def show(folder: Path, format: str) -> None:
    """Print a run as a table, and draw pareto.png and leavers.png, or in another format."""
    from bench.records import load_records
    from bench.report import export, leavers_figure, pareto, print_report

    found = load_records(folder)
    if format != "table":
        print(export(found, format), end="")
        return
    print_report(found, Console(width=None if sys.stdout.isatty() else 100))
    pareto(found, folder / "pareto.png")
    drawn = [folder / "pareto.png"]
    if leavers_figure(found, folder / "leavers.png"):
        drawn.append(folder / "leavers.png")
    print(f"\nplots: {', '.join(map(str, drawn))}   records: {folder / 'records'}")
    if any((folder / "tables").glob("*")):
        print(f"any other policy over these exits: bench sweep {folder}")


app.command("probe")(probe_command)


def hush() -> None:
    """Silence what other libraries say on every start and nobody can act on."""
    warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated")
    warnings.filterwarnings("ignore", message=".*NumPy array is not writable")
    warnings.filterwarnings("ignore", message="Unwrapped parameters detected")
    for chatty in ("torch.utils.cpp_extension", "torch.utils._pytree"):
        logging.getLogger(chatty).setLevel(logging.ERROR)


def main() -> None:
    """The `bench` command."""
    hush()
    try:
        app()
    except UserError as error:
        print(f"bench: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.filename is None:
            raise
        print(f"bench: {error.filename}: {error.strerror}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
