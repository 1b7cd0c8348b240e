"""What was measured at one operating point, as typed JSON.

The schema with every key documented, and the store, one file per point in RUN/records/. Tables, plots, verdicts and
regression checks are views of these records.
"""

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from bench.files import read_json, replacing
from bench.upgrades import upgrade
from models.errors import UserError, suggest

REMOVE = "remove it and measure again"
SCHEMA_VERSION: Literal[3] = 3
LIBRARIES = (
    *("torch", "torchvision", "torch-pruning", "openvino", "nncf", "pycocotools", "numpy", "scipy"),
    *("transformers", "fvcore", "onnxruntime", "scikit-learn"),
)
FLOP: Literal["one multiply-add counts as one"] = "one multiply-add counts as one"
SLACK = 1e-5  # ms; what rounding the samples may move them

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Milliseconds = Annotated[float, Field(gt=0), AfterValidator(lambda ms: max(round(ms, 5), SLACK))]
Replicate = Annotated[float, Field(ge=0, le=1), AfterValidator(lambda ap: round(ap, 6))]


class _Typed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RecordedPolicy(_Typed):
    """Which exit answers which image at an operating point, and how that was chosen."""

    name: str = Field(description="short name of the point, e.g. 'tol2'")
    criterion: str | None = Field(description="criterion that routes the images; null: no image is routed")
    thresholds: tuple[float | None, ...] | None = Field(description="one per exit but the last; null: never")
    chosen_on: str | None = Field(description="role of the split the thresholds were chosen on, e.g. 'val'")
    note: str = Field(default="", description="anything a reader of the point must know")
    promise: bool = Field(
        default=False, description="whether risk control showed on val that it loses no more than was asked for"
    )
    weights: str | None = Field(
        default=None, description="weights of a learned criterion, relative to the run; null: it has none, or not kept"
    )


class ExitAccuracy(_Typed):
    """What one exit reaches when it answers every test image."""

    exit: int = Field(ge=0, description="index of the exit, 0 is the earliest")
    map: Share = Field(description="COCO mAP (IoU .50:.95) when this exit answers every test image")
    map50: Share = Field(description="AP50 when this exit answers every test image")
    flops: int = Field(ge=0, description="multiply-adds of an image that leaves here, all heads so far")
    latency_ms: Positive | None = Field(description="mean ms when this exit answers; null: not timed")
    temperature: Positive | None = Field(description="temperature its scores were divided by; null: none")
    calibration_error: Share | None = Field(
        default=None, description="detection calibration error (D-ECE) at IoU .50; null: not measured, no detection"
    )
    ap_per_class: dict[str, Share | None] | None = Field(
        default=None, description="mAP by class name when this exit answers; null: a single class, not measured"
    )
    ap50_per_class: dict[str, Share | None] | None = Field(
        default=None, description="AP50 by class name when this exit answers; null: a single class, not measured"
    )


class Latency(_Typed):
    """Milliseconds from the uint8 image in memory to its detections, at batch size 1."""

    mean: Positive = Field(description="mean over images of each one's median over repeats, ms")
    mean_interval: tuple[Positive, Positive] = Field(description="its 95 % bootstrap interval over images, ms")
    p50: Positive = Field(description="median, ms")
    p50_interval: tuple[Positive, Positive] | None = Field(
        default=None, description="its 95 % bootstrap interval over images, ms; null: not measured"
    )
    p90: Positive = Field(description="90th percentile, ms")
    p90_interval: tuple[Positive, Positive] | None = Field(description="its 95 % interval, ms; null: too few samples")
    p99: Positive = Field(description="99th percentile, ms")
    p99_interval: tuple[Positive, Positive] | None = Field(description="its 95 % interval, ms; null: too few samples")
    samples: tuple[Milliseconds, ...] = Field(min_length=1, description="every sample, ms, rounded to 1e-5")
    images: tuple[int, ...] = Field(description="id of the test image behind each sample")
    warmup: Annotated[int, Field(ge=0)] | None = Field(
        description="untimed rounds before the first sample; null: not known"
    )
    steady: bool = Field(description="whether times had stopped falling by then; false too where nobody looked")

    @model_validator(mode="after")
    def _consistent(self) -> "Latency":
        if len(self.images) != len(self.samples):
            raise ValueError(f"{len(self.samples)} samples but {len(self.images)} image ids")
        low, high = min(self.samples) - SLACK, max(self.samples) + SLACK
        if not low <= self.mean <= high or not low <= self.p50 <= self.p90 <= self.p99 <= high:
            raise ValueError("mean, p50, p90 and p99 do not fit the samples")
        for name in ("mean", "p50", "p90", "p99"):
            bounds = getattr(self, f"{name}_interval")
            if bounds is not None and not bounds[0] - SLACK <= getattr(self, name) <= bounds[1] + SLACK:
                raise ValueError(f"{name} lies outside its interval")
        return self


class Ratio(_Typed):
    """How many times as fast one is as the other, with its interval."""

    value: Positive = Field(description="ratio of mean latencies over the same rounds")
    low: Positive = Field(description="lower end of its 95 % bootstrap interval over images")
    high: Positive = Field(description="upper end")


class Throughput(_Typed):
    """Images a second in batches (MLPerf's offline scenario), from uint8 images in memory to their detections."""

    batch: int = Field(ge=2, description="images at once")
    images_per_second: Positive = Field(description="batch over the mean time of a batch")
    regrouping: Share = Field(description="share of the time spent on moving images that stay into smaller batches")
    samples: tuple[Milliseconds, ...] = Field(min_length=1, description="every batch's time, ms, rounded to 1e-5")
    speed_up: Ratio = Field(description="over the fp32 baseline on the same runtime, in the same batches")


class Foundation(_Typed):
    """The foundation check: whether the baseline is worth comparing with."""

    map50: Share = Field(description="AP50 of the baseline on the validation split")
    floor: Share = Field(description="AP50 the baseline had to reach before any strategy is judged")
    passed: bool = Field(description="whether it did")


class Parity(_Typed):
    """How closely the deployed artifact agrees with eager fp32 PyTorch."""

    probabilities: float = Field(ge=0, description="largest difference of a class probability from eager fp32 PyTorch")
    boxes: float = Field(ge=0, description="largest difference of a box corner, in the unit square")
    images: int = Field(ge=1, description="validation images compared")


class Drawn(_Typed):
    """The mAP when exits are dealt out to the images at random, over many draws."""

    mean: Share = Field(description="mean mAP over the draws")
    low: Share = Field(description="lower end of the middle 95 % of them")
    high: Share = Field(description="upper end")


class Auroc(_Typed):
    """Does a criterion know on which images an inner exit is as good as the last one?"""

    criterion: str = Field(description="whose score it is")
    exit: int = Field(ge=0, description="index of the inner exit that is asked")
    as_good: Share = Field(description="share of the test images on which its F1 is not below the last exit's")
    value: Share | None = Field(description="area under the ROC curve, 0.5 is no knowledge; null: all images alike")
    interval: tuple[Share, Share] | None = Field(description="its 95 % bootstrap interval over images; null: none")


class ExitProfile(_Typed):
    """Where the images of one kind leave."""

    factor: str = Field(description="what the images are told apart by, e.g. 'object size'")
    group: str = Field(description="which of them, e.g. 'low'; a class's name")
    images: int = Field(ge=1, description="test images of this kind")
    exit_share: tuple[Share, ...] = Field(description="share of them that each exit answers")


class Execution(_Typed):
    """The conditional path really executed on every test image, against what the exit table says."""

    images: int = Field(ge=1, description="test images it was executed on")
    exits_differ: int = Field(ge=0, description="images that left at another exit than simulated")
    detections_differ: int = Field(ge=0, description="images whose detections are not the exit table's, bit by bit")
    predicted_ms: Positive | None = Field(
        default=None, description="mean ms that the static exits and the criterion's cost add up to; null: not timed"
    )
    within: bool | None = Field(
        default=None, description="whether that lies in the measured mean's 95 % interval; null: not timed"
    )


class Environment(_Typed):
    """Machine, software and time of a measurement."""

    cpu: str = Field(description="processor name")
    cores: int = Field(ge=1, description="cores this process may use")
    threads: int = Field(ge=1, description="threads the runtime was given")
    python: str = Field(description="Python version")
    os: str = Field(description="operating system and its release")
    git_commit: str | None = Field(description="commit of the working directory's checkout; null: none")
    dirty: bool | None = Field(description="whether that checkout had uncommitted changes; null: no checkout")
    libraries: dict[str, str] = Field(description="installed version of every library that moves a number")
    time: str = Field(description="when, ISO 8601, UTC")


class Record(_Typed):
    """One operating point: numbers, raw samples, intervals, environment, hashes."""

    schema_version: Literal[3] = Field(default=SCHEMA_VERSION, description="version of this schema")
    name: str = Field(pattern=r"^\w[\w.+=-]*$", description="unique in the run, the file's stem")
    strategy: str = Field(min_length=1, description="strategy, 'a+b' when composed, 'baseline' for none")
    variant: str = Field(description="which of its candidates, e.g. '30%'; empty: the only one")
    runtime: str = Field(description="runtime the stages ran on, e.g. 'openvino'")
    precision: str = Field(description="'fp32', 'int8', ...")
    operating_point: RecordedPolicy = Field(description="which exit answers which image")
    map: Share = Field(description="COCO mAP (IoU .50:.95) on the test split, 0..1")
    map50: Share = Field(description="AP50 on the test split")
    map75: Share = Field(description="AP75 on the test split")
    ap_small: Share | None = Field(description="mAP of objects under 32x32 px; null: the split has none")
    ap_medium: Share | None = Field(description="mAP of objects of 32x32 to 96x96 px; null: none")
    ap_large: Share | None = Field(description="mAP of objects over 96x96 px; null: none")
    ap_per_class: dict[str, Share | None] = Field(description="mAP by class name; null: no such object")
    ap50_per_class: dict[str, Share | None] = Field(description="AP50 by class name; null: no such object")
    per_exit: tuple[ExitAccuracy, ...] = Field(min_length=1, description="static exits, earliest first")
    map_bootstrap: tuple[Replicate, ...] = Field(min_length=1, description="mAP on paired resamples")
    map_interval: tuple[Share, Share] = Field(description="95 % interval of the mAP, low and high")
    flops_mean: float = Field(ge=0, description="mean multiply-adds per test image")
    flops_per_exit: tuple[int, ...] = Field(description="multiply-adds of an image that leaves at each exit")
    flops_unit: Literal["one multiply-add counts as one"] = Field(FLOP, description="what one FLOP is")
    params: int = Field(ge=0, description="number of weights")
    size_mb: float = Field(ge=0, description="bytes of the deployed artifact / 1e6")
    latency_ms: Latency = Field(description="time per image, batch 1: the single-stream scenario")
    throughput: Throughput | None = Field(
        default=None,
        validation_alias=AliasChoices("throughput", "offline"),
        description="images a second in batches; null: not measured",
    )
    random_exits: Drawn | None = Field(
        default=None, description="mAP when the same exit shares are dealt out at random; null: no gate"
    )
    oracle: Share | None = Field(
        default=None, description="best mAP found at the same mean FLOPs when the boxes are known; null: no gate"
    )
    gate_efficiency: float | None = Field(
        default=None,
        description="(map - random) / (oracle - random); null: no gate, or an oracle no better than random draws",
    )
    execution: Execution | None = Field(
        default=None,
        validation_alias=AliasChoices("execution", "truth"),
        description="the path executed against the simulation; null: no gate, or not executed",
    )
    criteria: tuple[Auroc, ...] = Field(
        default=(), description="every criterion at every inner exit; empty: a single exit, or not measured"
    )
    exit_profile: tuple[ExitProfile, ...] = Field(
        default=(),
        validation_alias=AliasChoices("exit_profile", "leavers"),
        description="which exit answers which kind of image; empty: no gate, or not measured",
    )
    alarms: tuple[str, ...] = Field(
        default=(), description="what is wrong with this detector or policy; empty: nothing known"
    )
    speed_up: Ratio = Field(description="the fp32 baseline's time over this one's, same runtime")
    noise: Ratio = Field(description="the fp32 baseline's time over its own, timed as another contender")
    chain_overhead: Ratio | None = Field(description="time of the chain, nobody leaving, over that of one graph")
    parity: Parity = Field(description="agreement of the artifact with eager fp32 PyTorch")
    exit_share: tuple[Share, ...] = Field(description="share of the test images that each exit answers")
    test_images: int = Field(ge=1, description="number of test images behind the accuracies")
    split_hash: str = Field(description="content hash of the test split")
    splits: dict[str, str] = Field(description="content hash of every split by role")
    weights_hash: str = Field(description="content hash of the weights")
    seed: int = Field(description="seed of the run")
    forced: bool = Field(description="the baseline failed the foundation check and the run went on by force")
    foundation: Foundation = Field(description="the foundation check: is the baseline worth comparing with")
    detections: str = Field(description="gzipped COCO results of the test split, relative to the run")
    audit: dict[str, JsonValue] = Field(default={}, description="facts about the artifact, e.g. int8 layers")
    environment: Environment = Field(description="where and when it was measured")

    @model_validator(mode="after")
    def _consistent(self) -> "Record":
        exits = len(self.per_exit)
        if not exits == len(self.flops_per_exit) == len(self.exit_share):
            raise ValueError("per_exit, flops_per_exit and exit_share differ in length")
        if [one.exit for one in self.per_exit] != list(range(exits)):
            raise ValueError("per_exit must list exits 0, 1, ... in order")
        if abs(sum(self.exit_share) - 1) > 1e-6:
            raise ValueError(f"exit_share sums to {sum(self.exit_share):.6f}, not 1")
        if not 0.999 * min(self.flops_per_exit) <= self.flops_mean <= 1.001 * max(self.flops_per_exit):
            raise ValueError("flops_mean lies outside flops_per_exit")
        thresholds = self.operating_point.thresholds
        if thresholds is not None and len(thresholds) != exits - 1:
            raise ValueError(f"{len(thresholds)} thresholds for {exits} exits: all but the last have one")
        if self.map_interval[0] > self.map_interval[1]:
            raise ValueError("map_interval is not (low, high)")
        if os.path.isabs(self.detections):
            raise ValueError("detections must be a path relative to the run")
        return self


def save(record: Record, run_dir: Path) -> Path:
    """Write RUN_DIR/records/NAME.json, whole or not at all.

    Args:
        record: to be written.
        run_dir: folder of the run.

    Returns:
        Path of the file.

    Raises:
        UserError: the disk is full.
    """
    path = Path(run_dir) / "records" / f"{record.name}.json"
    with replacing(path) as partial:
        partial.write_text(record.model_dump_json() + "\n", encoding="utf-8")
    return path


def load_records(run_dir: Path) -> list[Record]:
    """Read every record of a run. Records of older schemas are upgraded.

    Args:
        run_dir: folder of the run.

    Returns:
        The fastest runtime first, there the baseline, then by strategy and mean latency.

    Raises:
        UserError: the folder is missing or holds no records, or a file is not JSON, breaks the schema or is of a newer
            one.
    """
    run_dir = Path(run_dir)
    if not run_dir.is_dir():
        runs = sorted(path.parent.name for path in run_dir.parent.glob("*/records"))
        raise UserError(
            "no such run", where=str(run_dir), fix=suggest(run_dir.name, runs) if runs else "no run there yet"
        )
    records = [_load(path) for path in sorted((run_dir / "records").glob("*.json"))]
    if not records:
        raise UserError("holds no records", where=str(run_dir), fix="run it again")
    fastest = {r.runtime: min(o.latency_ms.mean for o in records if o.runtime == r.runtime) for r in records}
    return sorted(
        records,
        key=lambda r: (fastest[r.runtime], r.strategy != "baseline", r.strategy, r.latency_ms.mean, r.name),
    )


def _load(path: Path) -> Record:
    def broken(what: str) -> UserError:
        return UserError(what, where=str(path), fix=REMOVE)

    found = read_json(path, fix=REMOVE)
    number = found.get("schema_version") if isinstance(found, dict) else None
    if isinstance(number, int) and number > SCHEMA_VERSION:
        what = f"written by a newer version: its schema is {number}, this program reads up to {SCHEMA_VERSION}"
        raise UserError(what, where=str(path), fix="update exitbench")
    if not isinstance(number, int) or number < 1:
        raise broken(f"schema version {number}, this program reads 1 to {SCHEMA_VERSION}")
    try:
        record = Record.model_validate(upgrade(found))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        if not isinstance(error, ValidationError):
            raise broken(f"not a record of schema {number}: {error}") from error
        first = error.errors()[0]
        raise broken(f"not a record: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if record.name != path.stem:
        raise broken(f"holds the record {record.name}, not {path.stem}")
    return record


def baseline_of(records: Sequence[Record], runtime: str) -> Record | None:
    """Find the fp32 baseline on a runtime: what a speed-up or a drop is measured against.

    Where there are two, as loaded and fine-tuned, it is the one that the strategies were built on.

    Args:
        records: of one run.
        runtime: which one.

    Returns:
        Its record; None without one.
    """
    here = [r for r in records if (r.strategy, r.runtime, r.precision) == ("baseline", runtime, "fp32")]
    return next((r for r in here if r.variant != "loaded"), here[0] if here else None)


class Named(Protocol):
    """What has a strategy and a variant: a candidate, or a record of one."""

    @property
    def strategy(self) -> str:
        """Strategy that made it."""

    @property
    def variant(self) -> str:
        """Which of the strategy's candidates it is; empty: the only one."""


def detector_id(made: Named, runtime: str = "") -> str:
    """Name a detector in files and tables, e.g. "early_exit-b8-12-openvino".

    Args:
        made: the candidate, or a record of one of its operating points.
        runtime: that it is deployed on; empty: none in particular.

    Returns:
        The name.
    """
    return "-".join(filter(None, (made.strategy, made.variant, runtime)))


def same_split(records: Sequence[Record]) -> None:
    """Check that all records were measured on one test split: others never share a table.

    Args:
        records: to be compared.

    Raises:
        UserError: they were not.
    """
    for record in records:
        if record.split_hash != records[0].split_hash:
            one, other = record.split_hash[:12], records[0].split_hash[:12]
            what = f"measured on test split {one}, but {records[0].name} on {other}"
            raise UserError(what, where=record.name, fix="compare records of one test split only")


def environment(threads: int, libraries: Iterable[str] = ()) -> Environment:
    """Describe this machine now.

    Args:
        threads: what the runtime was given.
        libraries: distributions whose versions are to be named beside those of LIBRARIES, for example the runtime's.

    Returns:
        What a record says of it.
    """
    commit = _git("rev-parse", "HEAD")
    return Environment(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        threads=threads,
        python=platform.python_version(),
        os=f"{platform.system()} {platform.release()}",
        git_commit=commit,
        dirty=None if commit is None else bool(_git("status", "--porcelain")),
        libraries={name: found for name in (*LIBRARIES, *libraries) if (found := _version(name))},
        time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine() or "unknown"


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, encoding="utf-8", errors="replace", check=True)
        return done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
