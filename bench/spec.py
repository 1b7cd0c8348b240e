"""What a run is: typed, and checked before anything expensive starts.

Presets are TOML files in bench/presets/; a `--spec FILE` has the same keys, and the command line overrides either. Keys
that were renamed are known by their older names too. Importing this loads no network and no runtime: only `check`,
which asks whether they are there, does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bench.exits import budget
from bench.exits import registry as criteria
from bench.exits.path_costs import Unit
from bench.files import read_json, read_text, read_toml
from bench.folder import SPEC
from bench.parallel import cores
from models.errors import UserError, unknown
from models.renamed import renamed
from strategies import registry

PRESETS = Path(__file__).parent / "presets"
IN_MEMORY = "in memory"  # how the weights of a detector begin that no file brings back (`bench.given`)
SCRATCH = "none"  # what weights are called where there are to be none, though a preset has some
Fraction = Annotated[float, Field(ge=0, le=1)]
Risk = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
RENAMED = {  # keys by the names they had; of options: strategies.registry
    "batch": "batch_size",
    "data.cap": "data.max_images_per_class",
    "measure.agents": "measure.rl_policies",
    "measure.batch": "measure.batch_size",
}


class _Typed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Typed):
    """What a run trains and measures on: the spec's [data]."""

    source: str = Field("shapes", description="shapes, a folder, coco:DIR, yolo:DIR, voc:DIR, mot:DIR or a TOML file")
    classes: tuple[str, ...] | None = Field(None, description="chosen classes; none: all")
    max_images_per_class: Count | None = Field(None, description="at most so many training images per class")
    split: str | None = Field(None, description='"80/10/10" deals all images anew, "90/10" divides train; none: as is')
    split_by: str | None = Field(None, description="what is never divided: image, folder or a regular expression")
    split_seed: Annotated[int, Field(ge=0)] | None = Field(None, description="of the dealing")
    sizes: tuple[Count, Count, Count] | None = Field(None, description="shapes only: train, val and test images")


class Model(_Typed):
    """The detector that a run starts from: the spec's [model]."""

    name: str = Field("ssdlite", description="ssdlite, yolos (small, to be trained), or yolos-tiny, -small, -base")
    size: Annotated[int, Field(ge=64, le=1024)] = Field(320, description="side of the square input, px")
    weights: str | None = Field(None, description="a file, folder or name that the model knows; none: from scratch")
    queries: Count | None = Field(None, description="of a YOLOS whose weights bring none, a square; none: as usual")

    @field_validator("weights")
    @classmethod
    def _none_is_none(cls, weights: str | None) -> str | None:
        return None if weights == SCRATCH else weights


class Measure(_Typed):
    """How a run measures and which policies it chooses: the spec's [measure]."""

    images: Count = Field(100, description="test images that latency is timed on")
    repeats: Count = Field(5, description="rounds over those images")
    warmup: Count = Field(20, description="rounds in a window of warming up, which goes on until two windows agree")
    batch_size: Count = Field(8, description="images at once in the offline scenario; 1 leaves it out")
    resamples: Annotated[int, Field(ge=100)] = Field(1000, description="bootstrap resamples of the test images")
    tolerances: tuple[Fraction, ...] = Field((0.01, 0.05), description="relative mAP an exit policy may lose on val")
    budgets: tuple[str, ...] = Field((), description='mean cost an exit policy may have: "3ms", "250MFLOPs"')
    risks: tuple[Risk, ...] = Field((0.02,), description="mean F1 that an exit policy may lose, with a promise")
    delta: Risk = Field(0.1, description="probability that the promise does not hold")
    rl_policies: tuple[Literal["reinforced", "ucb"], ...] = Field((), description="policies learned by reinforcement")
    cost: Unit = Field("latency", description='what policies are cheap in; with "flops" one seed gives one choice')
    gate_images: Count = Field(1000, description="training images that a learned gate is trained on, at most")


class RunSpec(_Typed):
    """A whole spec."""

    name: Annotated[str, Field(pattern=r"^\w[\w.-]*$")] = Field(description="of the run's folder")
    strategies: tuple[str, ...] = Field(
        ("early_exit", "prune", "quant"), description="what to set against the baseline"
    )
    controls: tuple[str, ...] = Field(("longer",), description="strategies that every run has beside those asked for")
    runtimes: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        ("openvino",), description="what the candidates run on; the first also answers for the foundation check"
    )
    threads: Count = Field(default_factory=lambda: default_threads(), description="threads of training and runtime")
    device: Literal["cpu", "cuda"] = Field("cpu", description="what trains; on cuda in bfloat16. All else is the CPU's")
    seed: Annotated[int, Field(ge=0)] = 0
    batch_size: Count = Field(16, description="training images a step")
    least_epoch: Count | None = Field(None, description="images an epoch has at least: fewer come several times")
    foundation: Fraction = Field(0.40, description="AP50 on val the baseline must reach before a strategy builds on it")
    data: Data = Data()
    model: Model = Model()
    measure: Measure = Measure()
    strategy: dict[str, dict[str, Any]] = Field(
        {}, description="options of each strategy, by name; a table among them holds those of a variant, by its label"
    )

    @model_validator(mode="before")
    @classmethod
    def _under_names_of_today(cls, table: Any) -> Any:
        return todays(table) if isinstance(table, Mapping) else table


def today(key: str) -> str:
    """The name that a dotted key of a spec has today."""
    table, *names = key.split(".")
    if table != "strategy" or not names:
        return RENAMED.get(key, key)
    strategy, *options = names
    return ".".join((table, strategy, *(registry.today(strategy, option) for option in options)))


def todays(table: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    """A spec under the keys of today.

    Args:
        table: a spec, or a table in it.
        within: the table's own dotted key and a dot; empty for a whole spec.

    Raises:
        UserError: a key is given under two names.
    """
    found = renamed(table, lambda key: today(within + key).removeprefix(within), where=within.rstrip(".") or "spec")
    inner = {key: todays(value, f"{within}{key}.") for key, value in found.items() if isinstance(value, Mapping)}
    return {**found, **inner}


def default_threads() -> int:
    """Return as many threads as this process may use, at most 4."""
    return min(cores(), 4)


def presets() -> list[str]:
    """List the names of the presets."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def default_preset(model: str | None, data: str | None) -> str:
    """Choose the preset for a model and data on which nothing else is said.

    Args:
        model: its name; None: as the preset says.
        data: as `--data` takes it; None: as the preset says.

    Raises:
        UserError: no such model.
    """
    if model in presets():
        return model
    if data in (None, "shapes"):
        return "default"
    from models import families

    own = f"photographs-{families.family_of(model)}" if model else ""
    return own if own in presets() else "photographs"


def describe_presets() -> dict[str, str]:
    """Return each preset's name and the comment that opens its file."""
    return {name: read_text(PRESETS / f"{name}.toml").splitlines()[0].lstrip("# ") for name in presets()}


def read(preset: str, file: Path | None, overrides: Mapping[str, Any]) -> RunSpec:
    """Read the spec of a preset or of a file, and check it.

    Args:
        preset: its name; of no account where there is a file.
        file: a TOML file; with `base = PRESET` it has that preset's settings where it does not say otherwise.
        overrides: values by dotted key ("data.classes"), which go before; None: not given.

    Raises:
        UserError: an unknown preset or key, a wrong value, and anything `check` finds.
    """
    if file is None and preset not in presets():
        raise unknown("preset", preset, presets(), where="--preset")
    path = file or PRESETS / f"{preset}.toml"
    table = todays(read_toml(path))
    base = table.pop("base", None)
    if base is not None:
        if base not in presets():
            raise unknown("preset", str(base), presets(), where=f"{path}: base")
        table = overlaid(todays(read_toml(PRESETS / f"{base}.toml")), table)
    for key, value in overrides.items():
        if value is not None:
            *parents, leaf = today(key).split(".")
            inner = table
            for parent in parents:
                inner = inner.setdefault(parent, {})
            inner[leaf] = value
    if file is None and overrides.get("data.source") not in (None, "shapes"):
        table["data"].pop("sizes", None)  # a preset's, which speaks of shapes only
    try:
        spec = RunSpec.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{path.name if file else 'preset ' + preset}: {'.'.join(map(str, first['loc']))}"
        fix = "run with LC_ALL=C.UTF-8" if first["type"] == "string_unicode" else "see docs/specs.md"
        raise UserError(first["msg"], where=where, fix=fix) from error
    check(spec)
    return spec


def stored_spec(folder: Path) -> RunSpec:
    """Read what a run was asked to do, as its folder keeps it.

    Args:
        folder: of the run.

    Returns:
        The spec, with older keys under today's names.

    Raises:
        UserError: spec.json is missing or broken.
    """
    path, fix = folder / SPEC, "start one with bench run"
    found = read_json(path, fix)
    try:
        return RunSpec.model_validate(found)
    except ValidationError as error:
        raise UserError("not the spec of a run", where=str(path), fix=fix) from error


def overlaid(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one table over another: where both have a table under a key, these in turn, otherwise what `over` has.

    Args:
        under: the table below.
        over: the table above.
    """
    both = {key: overlaid(under[key], over[key]) for key in under if isinstance(over.get(key), Mapping)}
    return {**under, **over, **both}


def check(spec: RunSpec) -> None:
    """Check all that can be known to fail before data is read: names, options, the runtime and its precisions.

    Args:
        spec: typed, so that each value is of its type and range.

    Raises:
        UserError: the first mistake.
    """
    from bench.runtimes import base as runtimes
    from models import families

    if spec.device == "cuda":
        check_cuda()
    in_memory = (spec.model.weights or "").startswith(IN_MEMORY)
    if in_memory and spec.model.queries is not None:
        raise UserError("a detector in memory brings its queries", where="model.queries", fix="leave it out")
    families.check(spec.model.name, spec.model.size, None if in_memory else spec.model.weights, spec.model.queries)
    families.check_batch(families.family_of(spec.model.name), spec.batch_size, where="batch_size", fix="raise it")
    names = (*spec.controls, *spec.strategies)
    parts = [part for name in names for part in registry.parts(name, spec.strategy)]
    for part in parts:
        criteria.check(getattr(part.strategy, "criteria", ()))
        if wanted := getattr(part.strategy, "family", None):
            families.require(families.family_of(spec.model.name), wanted, where=f"strategy {part.name}")
        if part.name == "baseline" and part.label:
            fix = "set its options under [strategy.baseline]"
            raise UserError("a run has one baseline, without variants", where=f"baseline.{part.label}", fix=fix)
    for text in spec.measure.budgets:
        budget.parse(text)
    registry.build("baseline", {"baseline": spec.strategy.get("baseline", {}) | {"start": "weights"}})
    made: Iterable[frozenset[str]] = (getattr(part.strategy, "precisions", frozenset()) for part in parts)
    runtimes.check(spec.runtimes, {"fp32"}.union(*made))


def check_cuda() -> None:
    """Check that there is a GPU to train on.

    Raises:
        UserError: torch sees none.
    """
    import torch

    if not torch.cuda.is_available():
        raise UserError("torch sees no CUDA device here", where="device", fix="leave it out to train on the CPU")
