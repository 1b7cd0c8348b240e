"""The way a run takes, top to bottom.

Spec, data, baseline, foundation check, candidates, deployment, exit tables, policies, latency, records. Whatever was
trained is kept and found again; whatever is measured is measured anew.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

from bench import given, records, registries
from bench.accuracy.coco import accuracy
from bench.accuracy.results import coco_results, write_json
from bench.data.manifest import check_manifest, differences, manifest
from bench.data.spec import load
from bench.data.split import Dataset, Split
from bench.data.summary import summary
from bench.files import read_json, replacing
from bench.folder import claim
from bench.measure.exit_table import evaluate, exit_table
from bench.progress import console
from bench.records import Record, detector_id
from bench.report.labels import printable
from bench.runtimes import Deployed, deploy, runs_on
from bench.runtimes.registry import libraries
from bench.spec import IN_MEMORY, Data, Measure, Model, RunSpec
from bench.study.recording import Recorder
from bench.study.study import baseline_point, last_exit_map, study, time_batches, time_points
from bench.train.batches import Batches
from bench.train.fit import Trainer, weights_hash
from models import families
from models.detector import Detector, merged
from models.errors import UserError
from strategies import registry
from strategies.base import Candidate, Fit, Score


def run(
    spec: RunSpec, folder: Path, *, resume: bool = False, force: bool = False, detector: Detector | None = None
) -> list[Record]:
    """Carry out a spec in a folder.

    Args:
        spec: What to do; kept in the folder as spec.json.
        folder: Where everything goes; made when it is not there.
        resume: Go on with a run that was started there under the same spec.
        force: Go on although the baseline fails the foundation check; every record is stamped.
        detector: The baseline of a spec whose `model.weights` says "in memory" (`bench.given`).

    Returns:
        The records, which are saved in the folder too.

    Raises:
        UserError: Input that cannot be used, a folder with another run, or a baseline that fails the foundation check.
    """
    claim(folder, spec, resume=resume)
    registries.freeze()
    torch.set_num_threads(spec.threads)
    numba.set_num_threads(min(spec.threads, numba.config.NUMBA_NUM_THREADS))
    size, seed = spec.model.size, spec.seed
    data = open_data(spec.data, folder, size=size, seed=seed, repaired=resume)
    if data.reading is not None:
        console.print("[bold]data[/]")
        for line in summary(data):
            console.print(f"  {printable(line)}", markup=False, soft_wrap=True)
    console.print("[bold]baseline[/]")
    options = strategy_options(spec.strategy, spec.model, data.classes)
    initial = initial_candidate(spec.model, data.classes, seed, detector)
    fit = open_trainer(data.train, folder, spec)
    score = scorer(spec.runtimes, spec.threads, data.val, folder)
    baselines = apply_strategy("baseline", initial, options, data, fit, score, seed)
    base = deploy_to(spec.runtimes[0], baselines[-1], spec.threads, folder)
    foundation = check_foundation(base, spec.foundation, data.val, force)

    candidates = list(baselines)
    for name in dict.fromkeys((*spec.controls, *spec.strategies)):
        if name != "baseline":
            console.print(f"[bold]{name}[/]")
            candidates += apply_strategy(name, baselines[-1], options, data, fit, score, seed)

    found = []
    for runtime in spec.runtimes:
        console.print(f"[bold]measuring on {runtime}[/]")
        found += measure(
            [one for one in candidates if runs_on(one, runtime)],
            runtime,
            data,
            spec.measure,
            foundation,
            folder,
            threads=spec.threads,
            seed=seed,
            several_runtimes=len(spec.runtimes) > 1,
        )
    save(found, data, folder)
    return found


def measure(
    candidates: list[Candidate],
    runtime: str,
    data: Dataset,
    settings: Measure,
    foundation: records.Foundation,
    folder: Path,
    *,
    threads: int,
    seed: int,
    several_runtimes: bool = False,
) -> list[Record]:
    """Deploy, study and time every candidate against the others on one runtime; the detections are written.

    Args:
        candidates: the fp32 baseline among them.
        runtime: its name.
        data: train, val and test.
        settings: the run's [measure].
        foundation: what the foundation check found.
        folder: of the run.
        threads: that the runtime is given.
        seed: of everything drawn.
        several_runtimes: whether the run has others, so that names say which one they are of.

    Returns:
        A record of every operating point.
    """
    studies = []
    for deployed in [deploy_to(runtime, candidate, threads, folder) for candidate in candidates]:
        single = single_graph(deployed, threads, folder)
        tables = folder / "tables" / detector_id(deployed.candidate, runtime)
        studies.append(
            study(deployed, single, data, settings, seed=seed, folder=tables, several_runtimes=several_runtimes)
        )
    recorder = Recorder(
        data,
        foundation,
        records.environment(threads, libraries(runtime)),
        time_points(studies, settings, seed, data.test),
        time_batches(studies, settings, seed, data.test),
        baseline_point(studies).name,
        settings.resamples,
        seed,
    )
    ids = [example.id for example in data.test.examples]
    found = []
    for one in studies:
        for point in one.points:
            found.append(recorder.record(one, point))
            write_json(folder / found[-1].detections, coco_results(ids, one.table.composed(point.exits)))
    return found


def open_data(settings: Data, folder: Path, *, size: int, seed: int, repaired: bool = False) -> Dataset:
    """Open the run's dataset: checked against the run's manifest if there is one; otherwise the manifest is written.

    Args:
        settings: the run's [data].
        folder: of the run.
        size: side of the detector's input in pixels, in which shapes are drawn.
        seed: that shapes are drawn from.
        repaired: whether val and test may be others than the manifest's, which is then written anew: nothing was
            trained on them.

    Raises:
        UserError: the data cannot be used, or is not what the run was started on.
    """
    data = load(
        settings.source,
        classes=settings.classes,
        max_images_per_class=settings.max_images_per_class,
        split=settings.split,
        split_by=settings.split_by,
        split_seed=settings.split_seed,
        seed=seed,
        sizes=settings.sizes,
        size=size if settings.source == "shapes" else None,
    )
    path = folder / "splits.json"
    if path.exists():
        stored = read_json(path, fix="remove it to go on with the data as they are")
        changed = differences(data, stored)
        if not repaired or "train" in changed:
            check_manifest(data, stored)
        for role, what in changed.items():
            said = f"{role} is not what this run was started on ({what}): trainings are kept, all is measured anew"
            console.print(said, style="yellow", markup=False)
    with replacing(path) as partial:
        partial.write_text(json.dumps(manifest(data)) + "\n", encoding="utf-8")
    return data


def open_trainer(train: Split, folder: Path, spec: RunSpec) -> Trainer:
    """Make what trains on a run's training split, and finds again what the run has trained.

    Args:
        train: the training split.
        folder: of the run; checkpoints lie in it.
        spec: the run's: its input size, images per step and per epoch, seed and device.

    Raises:
        UserError: there is nothing to learn from.
    """
    if not any((~example.crowd).any() for example in train.examples):
        fix = "check the labels, or the classes"
        raise UserError("there is no object in any training image", where="train", fix=fix)
    batches = Batches(train, spec.model.size, spec.device, spec.least_epoch or 1)
    data = train.hash if batches.times == 1 else f"{train.hash} {batches.times} times"
    return Trainer(batches, data, folder / "checkpoints", spec.batch_size, spec.seed, spec.device)


def initial_candidate(model: Model, classes: tuple[str, ...], seed: int, detector: Detector | None = None) -> Candidate:
    """Build the detector that the baseline is made from: one in memory, trained weights, or random ones.

    What classes the weights do not know is said.

    Args:
        model: the run's [model].
        classes: the data's.
        seed: that random weights depend on, and on nothing else.
        detector: the one in memory, where `model.weights` says that it is.
    """
    torch.manual_seed(seed)
    if detector is not None or (model.weights or "").startswith(IN_MEMORY):
        here = given.checked(detector, model, classes)
        return Candidate("baseline", "start", here, note="from weights in memory")
    built = families.build(model.name, classes, model.size, model.weights, model.queries)
    note = families.origin(model.name, model.weights)
    if said := families.rows_kept(model.name, model.weights, classes):
        console.print(f"  {said}", markup=False)
        note = f"{note}, {said}"
    return Candidate("baseline", "start", built, note=note)


def strategy_options(
    strategy: Mapping[str, Mapping[str, Any]], model: Model, classes: tuple[str, ...]
) -> dict[str, Mapping[str, Any]]:
    """Return the run's [strategy] and, for the baseline, what its model starts from.

    Args:
        strategy: the run's [strategy].
        model: the run's [model].
        classes: the data's.
    """
    in_memory = (model.weights or "").startswith(IN_MEMORY)
    start = "weights" if in_memory else families.start(model.name, model.weights, classes)
    return {**strategy, "baseline": {**strategy.get("baseline", {}), "start": start}}


def apply_strategy(
    name: str,
    initial: Candidate,
    options: Mapping[str, Mapping[str, Any]],
    data: Dataset,
    fit: Fit,
    score: Score,
    seed: int,
) -> list[Candidate]:
    """Return the candidates of one strategy. It sees train and val; the test split does not come near it.

    Args:
        name: of the strategy, with variants and compositions.
        initial: what it is applied to.
        options: of every strategy, as `strategy_options` gives them.
        data: train, val and test.
        fit: how it trains.
        score: how it chooses between ways to go on.
        seed: of whatever it draws.
    """
    torch.manual_seed(seed)
    strategy = registry.build(name, options)
    return strategy.apply(initial, fit=fit, score=score, train=data.train, val=data.val, seed=seed)


def scorer(runtimes: Sequence[str], threads: int, val: Split, folder: Path) -> Score:
    """Make what measures a candidate on val.

    Args:
        runtimes: the run's, by name; the first one that has kernels of a candidate's precision runs it.
        threads: that the runtime is given.
        val: the val split.
        folder: of the run.
    """
    known: dict[tuple[str, str], float] = {}

    def score(candidate: Candidate) -> float:
        what = weights_hash(candidate.detector), candidate.precision
        if what not in known:
            runtime = next(name for name in runtimes if runs_on(candidate, name))
            deployed = deploy_to(runtime, candidate, threads, folder)
            known[what] = last_exit_map(exit_table(deployed, val), val)
        return known[what]

    return score


def deploy_to(runtime: str, candidate: Candidate, threads: int, folder: Path) -> Deployed:
    """Deploy a candidate on a runtime; what would be shipped lies under the run's artifacts/.

    Args:
        runtime: its name.
        candidate: what is deployed.
        threads: that the runtime is given.
        folder: of the run.
    """
    where = folder / "artifacts" / runtime / detector_id(candidate)
    return deploy(candidate, runtime, threads=threads, folder=where)


def single_graph(deployed: Deployed, threads: int, folder: Path) -> Deployed | None:
    """Deploy a multi-exit detector as one graph, to see what its being a chain costs.

    Args:
        deployed: the chain.
        threads: that the runtime is given.
        folder: of the run.

    Returns:
        The graph, deployed; None for a detector with a single exit.
    """
    if deployed.exits == 1:
        return None
    whole = replace(deployed.candidate, detector=merged(deployed.candidate.detector))
    where = folder / "artifacts" / deployed.runtime / f"{detector_id(whole)}-single"
    return deploy(whole, deployed.runtime, threads=threads, folder=where)


def check_foundation(baseline: Deployed, floor: float, val: Split, force: bool) -> records.Foundation:
    """Measure whether the baseline detects well enough to build on.

    Args:
        baseline: deployed.
        floor: AP50 on val that it must reach, in [0, 1].
        val: the val split.
        force: whether to go on below the floor.

    Returns:
        What was found.

    Raises:
        UserError: val has no object, or the baseline is under the floor and is not forced.
    """
    reached = evaluate(exit_table(baseline, val), val.coco())
    map50 = accuracy(reached, np.zeros(len(val), int), full=False).map50
    if map50 is None:
        raise UserError(
            "no val image has an object to find",
            where="foundation check",
            fix="choose other classes or images",
        )
    if map50 < floor and not force:
        raise UserError(
            f"the baseline reaches AP50 {map50:.3f} on val, under its floor of {floor:.2f}",
            where="foundation check",
            fix="train it longer, or add --force to go on and have every record stamped",
        )
    console.print(f"  foundation: AP50 {map50:.3f} on val, floor {floor:.2f}", markup=False)
    return records.Foundation(map50=map50, floor=floor, passed=map50 >= floor)


def save(found: list[Record], data: Dataset, folder: Path) -> None:
    """Write ground truth and records; whatever an earlier attempt left of others goes.

    Args:
        found: the records.
        data: train, val and test.
        folder: of the run.
    """
    write_json(folder / "ground_truth.json.gz", data.test.coco())
    write_json(folder / "ground_truth_val.json.gz", data.val.coco())
    names = {record.name for record in found}
    detectors = {detector_id(record, record.runtime) for record in found}
    for stale in [*(folder / "records").glob("*.json"), *(folder / "detections").glob("*.json.gz")]:
        if stale.name.split(".json")[0] not in names:
            stale.unlink()
    for stale in (folder / "tables").glob("*"):
        if stale.name not in detectors:
            shutil.rmtree(stale)
    for one in found:
        records.save(one, folder)
