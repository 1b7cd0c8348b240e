"""Runs that differ in their seed only.

Mean and standard deviation over them of every record's accuracies and speed-up, and what each run's verdict says. A
run's own intervals are about other test images; this spread is about other seeds on the same images. Speed-ups are over
each run's own baseline; milliseconds of sessions apart are not averaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.special import chdtri

from bench.files import read_json
from bench.judge.verdict import Verdict, verdict
from bench.records import Record, baseline_of, load_records
from bench.spec import todays
from models.errors import UserError

LEVEL = 0.95
FREE = ("name", "seed", "data.source")  # settings that may differ; whether the images do, their hashes say

Role = Literal["baseline", "early", "alternative", ""]


@dataclass(frozen=True)
class Repeat:
    """One of several runs.

    Attributes:
        name: what it is called in the report.
        seed: of the run.
        settings: its whole spec, nested names dotted.
        records: all of its records.
    """

    name: str
    seed: int
    settings: Mapping[str, Any]
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation over the runs.

    Attributes:
        mean: over n runs.
        sd: standard deviation, with n - 1.
    """

    mean: float
    sd: float


@dataclass(frozen=True)
class Row:
    """The records of one name, one from each run.

    Attributes:
        name: of the records.
        runtime: that they are on.
        role: what the verdicts name it as; empty: nowhere named.
        named: how many verdicts do.
        map: COCO mAP, in [0, 1].
        map50: AP50, in [0, 1].
        speed_up: over each run's own fp32 baseline on the runtime; None for that baseline.
        exit_share: mean share of the test images that each exit answers, [E].
        ms: lowest and highest mean latency of a run.
    """

    name: str
    runtime: str
    role: Role
    named: int
    map: Moments
    map50: Moments
    speed_up: Moments | None
    exit_share: tuple[float, ...]
    ms: tuple[float, float]


@dataclass(frozen=True)
class Spread:
    """Several runs as one.

    Attributes:
        runs: the runs.
        rows: of the names that all runs have, runtime by runtime; first those that the verdicts name: the baseline,
            early exit, its alternatives.
        partial: every other name, and the names of the runs that have it.
        verdicts: each run's.
    """

    runs: tuple[Repeat, ...]
    rows: tuple[Row, ...]
    partial: dict[str, tuple[str, ...]]
    verdicts: tuple[Verdict, ...]


def open_repeat(folder: Path, name: str) -> Repeat:
    """Open a run: its settings and records.

    Args:
        folder: of the run.
        name: what it is called in the report.

    Returns:
        The run.

    Raises:
        UserError: something is missing or broken.
    """
    path = folder / "spec.json"
    records = load_records(folder)
    spec = read_json(path, fix="run the benchmark again")
    try:
        seed = int(spec["seed"])
        settings = dict(_flat(todays(spec)))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError("not the spec of a run", where=str(path), fix="run the benchmark again") from error
    return Repeat(name, seed, settings, tuple(records))


def spread(runs: Sequence[Repeat]) -> Spread:
    """Put runs together.

    Args:
        runs: two or more.

    Returns:
        The runs as one.

    Raises:
        UserError: there are fewer than two, two have one seed, they share no record, or they differ in other settings
            or in their images.
    """
    _comparable(runs)
    verdicts = tuple(verdict(run.records) for run in runs)
    by_name = [{record.name: record for record in run.records} for run in runs]
    names = dict.fromkeys(name for here in by_name for name in here)
    shared = [name for name in names if all(name in here for here in by_name)]
    if not shared:
        raise UserError("the runs share no record", where="spread", fix="bench report shows each run's")
    roles = _roles(runs, verdicts)
    ordered = sorted(shared, key=lambda name: list(roles).index(name) if name in roles else len(roles))
    rows = [_row([here[name] for here in by_name], *roles.get(name, ("", 0)), runs) for name in ordered]
    runtimes = list(dict.fromkeys(row.runtime for row in rows))
    return Spread(
        runs=tuple(runs),
        rows=tuple(sorted(rows, key=lambda row: runtimes.index(row.runtime))),
        partial={
            name: tuple(run.name for run, here in zip(runs, by_name, strict=True) if name in here)
            for name in names
            if name not in shared
        },
        verdicts=verdicts,
    )


def moments(values: Iterable[float]) -> Moments:
    """Take mean and standard deviation.

    Args:
        values: two or more.

    Returns:
        Both.
    """
    numbers = np.array(list(values))
    return Moments(float(numbers.mean()), float(numbers.std(ddof=1)))


def sd_factors(runs: int) -> tuple[float, float]:
    """Say how far the true standard deviation may be from the one seen in so many runs.

    If they are draws from a normal distribution: its square over the true one is chi-squared with runs - 1 degrees of
    freedom.

    Args:
        runs: how many, two or more.

    Returns:
        Ends of the LEVEL interval of the true one, as factors of the one seen.
    """
    freedom, tail = runs - 1, (1 - LEVEL) / 2
    low, high = (float(np.sqrt(freedom / chdtri(freedom, p))) for p in (tail, 1 - tail))
    return low, high


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _comparable(runs: Sequence[Repeat]) -> None:
    if len(runs) < 2:
        raise UserError(f"{len(runs)} run, two or more are needed", where="spread", fix="repeat it with another --seed")
    known: dict[int, Repeat] = {}
    for run in runs:
        if run.seed in known:
            what = f"has seed {run.seed}, as {known[run.seed].name} has"
            raise UserError(what, where=run.name, fix="give every run a --seed of its own")
        known[run.seed] = run
    first, *others = runs
    for run in others:
        _same_settings(first, run)
        _same_images(first, run)


def _same_settings(first: Repeat, run: Repeat) -> None:
    keys = [key for key in dict.fromkeys((*first.settings, *run.settings)) if key not in FREE]
    differing = [key for key in keys if _setting(first, key) != _setting(run, key)]
    if differing:
        key, *more = differing
        what = f"{key} is {_setting(run, key)!r}, but {_setting(first, key)!r} in {first.name}"
        what += f"; {', '.join(more)} differ{'s' * (len(more) == 1)} too" if more else ""
        raise UserError(what, where=run.name, fix="spread is for runs that differ in their seed only")


def _setting(run: Repeat, key: str) -> Any:
    """Value of a setting; of a weights file its name, wherever it lies."""
    value = run.settings.get(key)
    return Path(value).name if key == "model.weights" and value else value


def _same_images(first: Repeat, run: Repeat) -> None:
    for role in ("test", "train", "val"):
        here, there = (_hashes(one, role) for one in (run, first))
        if here != there:
            fix = "repeat it on the same images"
            if run.settings.get("data.source") == "shapes":
                fix = "the seed draws shapes too: repeat runs on data in COCO format"
            raise UserError(f"measured on {role} split {here}, but {first.name} on {there}", where=run.name, fix=fix)


def _hashes(run: Repeat, role: str) -> str:
    found = {r.split_hash if role == "test" else r.splits.get(role, "unknown") for r in run.records}
    return " and ".join(sorted(one[:12] for one in found))


def _roles(runs: Sequence[Repeat], verdicts: Sequence[Verdict]) -> dict[str, tuple[Role, int]]:
    """Name -> what the verdicts call it and how many do.

    Baselines, then early exit, then alternatives, the most often named first. A baseline that is an alternative is the
    baseline.
    """
    found: dict[Role, list[str]] = {"baseline": [], "early": [], "alternative": []}
    for run, said in zip(runs, verdicts, strict=True):
        where = next((r.runtime for r in run.records if r.name == said.early), run.records[0].runtime)
        baseline = baseline_of(run.records, where)
        found["baseline"] += [baseline.name] if baseline else []
        found["early"] += [said.early] if said.early else []
        found["alternative"] += said.against
    roles: dict[str, tuple[Role, int]] = {}
    for role, named in found.items():
        for name in sorted(dict.fromkeys(named), key=lambda name: -named.count(name)):
            roles.setdefault(name, (role, named.count(name)))
    return roles


def _row(records: Sequence[Record], role: Role, named: int, runs: Sequence[Repeat]) -> Row:
    first, times = records[0], [r.latency_ms.mean for r in records]
    own = [baseline_of(run.records, first.runtime) for run in runs]
    is_baseline = all(base is not None and base.name == first.name for base in own)
    return Row(
        name=first.name,
        runtime=first.runtime,
        role=role,
        named=named,
        map=moments(r.map for r in records),
        map50=moments(r.map50 for r in records),
        speed_up=None if is_baseline else moments(r.speed_up.value for r in records),
        exit_share=tuple(np.mean([r.exit_share for r in records], axis=0).tolist()),
        ms=(min(times), max(times)),
    )
