"""What `import bench` offers: carry out a run, or open one that was carried out, and look at it in Python.

Libraries that take seconds to import are imported where they are needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.folder import RUNS, find
from bench.progress import hushed
from models.errors import UserError
from models.scratch import settle_libraries

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from bench.judge.compare import Comparison
    from bench.judge.verdict import Verdict
    from bench.records import Record
    from bench.spec import RunSpec
    from bench.study.sweep import Sweep
    from models.detector import Detector


@hushed()
def run(
    strategies: str | Iterable[str] | None = None,
    *,
    preset: str | None = None,
    spec: str | Path | None = None,
    data: str | None = None,
    classes: str | Iterable[str] | None = None,
    max_images_per_class: int | None = None,
    split: str | None = None,
    split_by: str | None = None,
    split_seed: int | None = None,
    model: str | None = None,
    weights: str | Path | None = None,
    runtime: str | Iterable[str] | None = None,
    threads: int | None = None,
    device: str | None = None,
    seed: int | None = None,
    name: str | None = None,
    out: str | Path = RUNS,
    resume: bool = False,
    force: bool = False,
    options: Mapping[str, Any] | None = None,
    detector: Detector | None = None,
) -> Run:
    """Train or load a baseline, apply strategies, and measure them all.

    As `bench run` does it: the arguments have the names of its options, and what is left out is the preset's. Several
    names are a list, or text with commas.

    Args:
        strategies: What to set against the baseline; a+b applies b to what a returns, a.x is a's variant x.
        preset: Settings to start from; chosen by model and data when left out.
        spec: Path of a TOML file in place of a preset.
        data: "shapes", a folder, "coco:DIR" (or yolo, voc, mot) or a TOML file.
        classes: Names of classes; all when left out, or those of `detector`.
        max_images_per_class: At most so many training images per class.
        split: "80/10/10" deals all images anew; "90/10" divides train, and what is held out becomes test.
        split_by: What is never divided: "image", "folder", or a regular expression on image names.
        split_seed: Seed of the dealing.
        model: Name of the model.
        weights: What the model starts from; "none": nothing, whatever the preset has.
        runtime: What the candidates run on; the first also answers for the foundation check.
        threads: Threads for training and inference.
        device: What trains: "cpu", or "cuda" in bfloat16.
        seed: Seed of data, training and bootstrap.
        name: Name of the run; the preset's when left out.
        out: Folder that holds the runs.
        resume: Go on with a run of this name.
        force: Go on below the foundation check; stamps every record.
        options: Any other setting of a spec by its dotted name, for example {"measure.images": 50}. The arguments above
            go before it.
        detector: A trained detector with one exit that is the baseline as it is, in place of `model` and `weights`.

    Returns:
        The run, whose folder `out`/`name` has everything that was measured.

    Raises:
        UserError: A name, setting, file or detector that cannot be used, a run that exists already, or a baseline that
            detects too little to build on.
    """
    settle_libraries()
    from bench.pipeline import run as carry_out
    from bench.spec import default_preset, read, today

    settings: dict[str, Any] = {}
    if detector is not None:
        from bench.given import settings_of

        if weights is not None:
            raise UserError("a detector in memory brings its weights", where="weights", fix="leave them out")
        model = model or detector.family
        settings |= settings_of(detector)
        if classes is None and data not in (None, "shapes"):
            classes = detector.classes
    settings |= {today(key): value for key, value in (options or {}).items()}
    asked = {
        "strategies": listed(strategies),
        "data.source": data,
        "data.classes": listed(classes),
        "data.max_images_per_class": max_images_per_class,
        "data.split": split,
        "data.split_by": split_by,
        "data.split_seed": split_seed,
        "model.name": model,
        "model.weights": None if weights is None else str(weights),
        "runtimes": listed(runtime),
        "threads": threads,
        "device": device,
        "seed": seed,
        "name": name,
    }
    settings |= {key: value for key, value in asked.items() if value is not None}
    preset = preset or default_preset(model, data)
    plan = read(preset, None if spec is None else Path(spec), settings)
    folder = Path(out) / plan.name
    carry_out(plan, folder, resume=resume, force=force, detector=detector)
    return load_run(folder)


def load_run(run: str | Path, out: str | Path = RUNS) -> Run:
    """Open a run that was carried out before.

    Args:
        run: Path of its folder, or its name.
        out: Folder that holds the runs, for a name.

    Raises:
        UserError: There is no such run, or its records are broken.
    """
    from bench.records import load_records

    folder = find(run, out)
    return Run(folder, tuple(load_records(folder)))


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A run that was carried out, as it lies in its folder. A notebook shows it as the table and the verdict.

    Args:
        folder: Where it lies.
        records: One for each operating point: the fastest runtime first, there the baseline, then by strategy.
    """

    folder: Path
    records: tuple[Record, ...]

    @cached_property
    def verdict(self) -> Verdict:
        """Whether early exits were worth it: a sentence and its numbers."""
        from bench.judge.verdict import verdict

        return verdict(self.records)

    @cached_property
    def spec(self) -> RunSpec:
        """What the run was asked to do, under the keys of today.

        Raises:
            UserError: It is missing or broken.
        """
        from bench.spec import stored_spec

        return stored_spec(self.folder)

    def to_pandas(self) -> DataFrame:
        """Return the records as a table: a row for each, with nested values under dotted names ("latency_ms.mean").

        Lists, such as raw samples, are left out; they are in `records`.

        Raises:
            UserError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise UserError("pandas is not installed", fix="pip install 'exitbench[pandas]'") from error
        table = pandas.json_normalize([record.model_dump(mode="json") for record in self.records])
        nested = {column[:dot] for column in table for dot, letter in enumerate(column) if letter == "."}
        lists = {column for column in table if table[column].map(lambda value: isinstance(value, list)).any()}
        return table[[column for column in table if column not in nested | lists]]

    def pareto(self, path: str | Path | None = None) -> Figure:
        """Draw mAP against time and against FLOPs, with the frontier and the verdict.

        Args:
            path: Where to write it as a PNG as well.

        Returns:
            The figure, 1600 x 800 px.
        """
        from bench.report.pareto import pareto_figure
        from bench.report.style import save

        figure = pareto_figure(self.records)
        if path is not None:
            save(figure, Path(path))
        return figure

    def sweep(
        self,
        *,
        budget: str | Iterable[str] | None = None,
        tolerance: float | Iterable[float] | None = None,
        cost: str | None = None,
        criteria: str | Iterable[str] | None = None,
        detector: str | None = None,
    ) -> list[Sweep]:
        """Ask the run's stored exit tables for other policies, without the model.

        What is left out is as the run asked for it.

        Args:
            budget: Mean cost of an image, one or several: "3ms", "250MFLOPs".
            tolerance: Share of mAP that may be lost on val, in [0, 1], one or several.
            cost: "latency" or "flops": what policies are to be cheap in.
            criteria: Names of criteria, one or several; all that are stored when left out.
            detector: One of the folders in the run's tables/; all of them when left out.

        Returns:
            One sweep for each detector.

        Raises:
            UserError: The run has no exit tables, or a name, budget or tolerance is none.
        """
        from bench.study.sweep import sweeps

        tolerances = [tolerance] if isinstance(tolerance, (int, float)) else list(tolerance or ())
        return sweeps(
            self.folder,
            cost=cost,
            budgets=listed(budget) or (),
            tolerances=tolerances,
            criteria=listed(criteria),
            detector=detector,
        )

    def compare(self, other: Run | str | Path) -> Comparison:
        """Say what changed from this run to another one of the same test split and seed.

        mAP and time of every record that both have are compared, with paired intervals.

        Args:
            other: The other run, its name, or its folder.

        Raises:
            UserError: They cannot be compared.
        """
        from bench.judge.compare import compare

        return compare(self.records, (other if isinstance(other, Run) else load_run(other)).records)

    def __repr__(self) -> str:
        return f"<Run {self.folder}: {len(self.records)} records>"

    def _repr_markdown_(self) -> str:
        from bench.report.formats import markdown
        from bench.report.run_page import short_page

        return f"{markdown(short_page(self.records))}\n{self.verdict.sentence}\n"


def listed(names: str | Iterable[str] | None) -> list[str] | None:
    """Return names as a list.

    Args:
        names: Text with commas, or any iterable; None stays None.
    """
    if isinstance(names, str):
        return [part.strip() for part in names.split(",") if part.strip()]
    return None if names is None else list(names)
