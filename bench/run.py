"""The way a run takes, top to bottom: spec, data, baseline, foundation gate, candidates, deployment, exit tables,
policies, latency, records. Whatever was trained is kept and found again; whatever is measured is measured anew."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bench import records
from bench.batches import Batches
from bench.data.manifest import check_manifest, manifest
from bench.data.spec import load
from bench.data.split import Dataset, Split
from bench.files import replacing
from bench.fit import Trainer, weights_hash
from bench.measure.accuracy import accuracy
from bench.measure.cost import parameters
from bench.measure.latency import Timing, ratio
from bench.measure.results import coco_results, write_json
from bench.progress import console
from bench.records import Record
from bench.routing.table import exit_table
from bench.runtimes import Deployed, deploy, runs_on
from bench.spec import RunSpec
from bench.stats import interval
from bench.study import (
    AGAIN,
    PARITY_IMAGES,
    Point,
    Study,
    baseline_point,
    evaluate,
    key,
    single_name,
    study,
    time_points,
)
from models.detector import merged
from models.errors import UserError
from models.ssdlite import ssdlite
from strategies import registry
from strategies.base import Candidate


def run(spec: RunSpec, folder: Path, *, force: bool = False) -> list[Record]:
    """Carry out `spec` in `folder` and return its records, which are saved there too.

    force: go on although the baseline misses its foundation gate; every record is stamped.
    """
    torch.set_num_threads(spec.threads)
    data = open_data(spec, folder)
    trainer = Trainer(
        Batches(data.train, spec.model.size), data.train.hash, folder / "checkpoints", spec.batch, spec.seed
    )

    console.print("[bold]baseline[/]")
    baselines = make("baseline", start(spec, data), spec, data, trainer)
    base = place(baselines[-1], spec.runtimes[0], spec, folder)
    foundation = check_foundation(base, spec.foundation, data.val, force)

    candidates = list(baselines)
    for name in dict.fromkeys((*spec.controls, *spec.strategies)):
        if name != "baseline":
            console.print(f"[bold]{name}[/]")
            candidates += make(name, baselines[-1], spec, data, trainer)

    found = []
    for runtime in spec.runtimes:
        console.print(f"[bold]measuring on {runtime}[/]")
        found += measure([one for one in candidates if runs_on(one, runtime)], runtime, spec, data, foundation, folder)
    save(found, data, folder)
    return found


def measure(
    candidates: list[Candidate],
    runtime: str,
    spec: RunSpec,
    data: Dataset,
    foundation: records.Foundation,
    folder: Path,
) -> list[Record]:
    """Every candidate on one runtime: deployed, studied, timed against the others. The detections are written."""
    deployments = [place(candidate, runtime, spec, folder) for candidate in candidates]
    studies = [study(one, single_graph(one, spec, folder), spec, data) for one in deployments]
    timings = time_points(studies, spec.measure, spec.seed, data.test)
    environment, reference = records.environment(spec.threads), baseline_point(studies).name
    ids = [example.id for example in data.test.examples]
    found = []
    for one in studies:
        for point in one.points:
            found.append(record(one, point, timings, reference, spec, data, foundation, environment))
            write_json(folder / found[-1].detections, coco_results(ids, one.table.composed(point.exits)))
    return found


def open_data(spec: RunSpec, folder: Path) -> Dataset:
    """The dataset, checked against the run's manifest if there is one; otherwise the manifest is written."""
    size = spec.model.size if spec.data.source == "shapes" else None
    chosen = spec.data
    data = load(chosen.source, classes=chosen.classes, cap=chosen.cap, seed=spec.seed, sizes=chosen.sizes, size=size)
    path = folder / "splits.json"
    if path.exists():
        check_manifest(data, json.loads(path.read_text()))
    else:
        with replacing(path) as partial:
            partial.write_text(json.dumps(manifest(data)) + "\n")
    return data


def start(spec: RunSpec, data: Dataset) -> Candidate:
    """The detector that the baseline is made from: stock weights, or random ones that depend on the seed alone."""
    torch.manual_seed(spec.seed)
    return Candidate("baseline", "start", ssdlite(data.classes, spec.model.size, spec.model.weights))


def make(name: str, from_: Candidate, spec: RunSpec, data: Dataset, trainer: Trainer) -> list[Candidate]:
    """The candidates of one strategy. It sees train and val; the test split does not come near it."""
    options = dict(spec.strategy)
    options["baseline"] = options.get("baseline", {}) | {"pretrained": spec.model.weights is not None}
    torch.manual_seed(spec.seed)
    strategy = registry.build(name, options)
    return strategy.apply(from_, fit=trainer, train=data.train, val=data.val, seed=spec.seed)


def place(candidate: Candidate, runtime: str, spec: RunSpec, folder: Path) -> Deployed:
    """The candidate on a runtime; what would be shipped lies under artifacts/."""
    where = folder / "artifacts" / runtime / key(candidate)
    return deploy(candidate, runtime, threads=spec.threads, folder=where)


def single_graph(deployed: Deployed, spec: RunSpec, folder: Path) -> Deployed | None:
    """A multi-exit detector as one graph, to see what its being a chain costs; None for one with a single exit."""
    if deployed.exits == 1:
        return None
    whole = replace(deployed.candidate, detector=merged(deployed.candidate.detector))
    where = folder / "artifacts" / deployed.runtime / f"{key(whole)}-single"
    return deploy(whole, deployed.runtime, threads=spec.threads, folder=where)


def check_foundation(baseline: Deployed, floor: float, val: Split, force: bool) -> records.Foundation:
    """Measure the baseline on val; UserError when it cannot detect well enough to build on, unless forced."""
    reached = evaluate(exit_table(baseline, val), val)
    map50 = accuracy(reached, np.zeros(len(val), int), full=False).map50
    if map50 is None:
        raise UserError(
            "no val image has an object to find",
            where="foundation gate",
            fix="choose other classes or images",
        )
    if map50 < floor and not force:
        raise UserError(
            f"the baseline reaches AP50 {map50:.3f} on val, under its foundation gate of {floor:.2f}",
            where="foundation gate",
            fix="train it longer, or add --force to go on and have every record stamped",
        )
    console.print(f"  foundation: AP50 {map50:.3f} on val, gate {floor:.2f}", markup=False)
    return records.Foundation(map50=map50, floor=floor, passed=map50 >= floor)


def compare(timings: dict[str, Timing], slow: str, fast: str, spec: RunSpec) -> records.Ratio:
    """Mean latency of `slow` over that of `fast`, from the same rounds, with its 95 % interval."""
    value, low, high = ratio(timings[slow], timings[fast], resamples=spec.measure.resamples, seed=spec.seed)
    return records.Ratio(value=value, low=low, high=high)


def record(
    one: Study,
    point: Point,
    timings: dict[str, Timing],
    reference: str,
    spec: RunSpec,
    data: Dataset,
    foundation: records.Foundation,
    environment: records.Environment,
) -> Record:
    """One operating point as a Record."""
    candidate, timing, reached = one.candidate, timings[point.name], point.accuracy
    flops = [cost.flops for cost in one.costs]
    replicates = np.where(np.isnan(point.replicates), reached.map, point.replicates)
    low, high = interval(replicates)
    whole_chain = one.points[len(flops) - 1].name
    gated = point.choice.policy.criterion is not None
    simulated = point.exits[timing.images]
    audit = {
        **point.deployed.chain.audit,
        "made": candidate.note,
        "flops_cross_check": [cost.cross_check for cost in one.costs],
        "calls_leaving_elsewhere_than_simulated": int((simulated != timing.exits).sum()),
    }
    return Record(
        name=point.name,
        strategy=point.strategy,
        variant=candidate.variant,
        runtime=point.deployed.runtime,
        precision=candidate.precision,
        operating_point=records.OperatingPoint(
            name=point.choice.name,
            criterion=point.choice.policy.criterion,
            thresholds=tuple(None if t == np.inf else t for t in point.choice.policy.thresholds) if gated else None,
            chosen_on=point.choice.chosen_on,
            note=point.choice.note,
        ),
        map=reached.map,
        map50=reached.map50,
        map75=reached.map75,
        ap_small=reached.ap_small,
        ap_medium=reached.ap_medium,
        ap_large=reached.ap_large,
        ap_per_class=reached.per_class,
        ap50_per_class=reached.per_class50,
        per_exit=[
            records.ExitAccuracy(
                exit=number,
                map=accuracies.map,
                map50=accuracies.map50,
                flops=flops[number],
                latency_ms=timings[static.name].mean,
                temperature=float(stage.temperature),
            )
            for number, (accuracies, stage, static) in enumerate(
                zip(one.per_exit, candidate.detector.stages, one.points, strict=False)
            )
        ],
        map_bootstrap=replicates.tolist(),
        map_interval=(low, high),
        flops_mean=float(np.take(flops, point.exits).mean()),
        flops_per_exit=flops,
        params=parameters(candidate.detector),
        size_mb=point.deployed.chain.bytes / 1e6,
        latency_ms=records.Latency(
            mean=timing.mean,
            p50=timing.p50,
            p90=timing.p90,
            p99=timing.p99,
            samples=timing.samples.tolist(),
            images=[data.test.examples[int(index)].id for index in timing.images],
        ),
        random_exits=records.Drawn(**vars(point.random)) if point.random else None,
        speed_up=compare(timings, reference, point.name, spec),
        noise=compare(timings, reference, AGAIN, spec),
        chain_overhead=compare(timings, whole_chain, single_name(one), spec) if one.single else None,
        parity=records.Parity(
            probabilities=one.parity.probabilities, boxes=one.parity.boxes, images=min(PARITY_IMAGES, len(data.val))
        ),
        exit_share=(np.bincount(point.exits, minlength=len(flops)) / len(point.exits)).tolist(),
        test_images=len(data.test),
        split_hash=data.test.hash,
        splits={split.role: split.hash for split in data.splits},
        weights_hash=weights_hash(candidate.detector),
        seed=spec.seed,
        forced=not foundation.passed,
        foundation=foundation,
        detections=f"detections/{point.name}.json.gz",
        audit=audit,
        environment=environment,
    )


def save(found: list[Record], data: Dataset, folder: Path) -> None:
    """Ground truth and records; whatever an earlier attempt left of other records goes."""
    write_json(folder / "ground_truth.json.gz", data.test.coco())
    names = {record.name for record in found}
    for stale in [*(folder / "records").glob("*.json"), *(folder / "detections").glob("*.json.gz")]:
        if stale.name.split(".json")[0] not in names:
            stale.unlink()
    for one in found:
        records.save(one, folder)
