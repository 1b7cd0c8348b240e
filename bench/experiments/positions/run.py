"""Where in the trunk an exit pays.

Heads after every block or layer are trained together for a few epochs on the frozen trunk of a run's baseline. Each is
then a plain shallower network, set against the whole one and against the whole one at smaller inputs. Everything is
measured on val, since positions are chosen by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.accuracy.coco import accuracy, bootstrap_map
from bench.data.split import Split
from bench.exits.policy import static
from bench.experiments.positions.report import page, write_report
from bench.experiments.positions.result import FILE, Place, Positions
from bench.experiments.stored import save
from bench.measure.exit_table import evaluate, exit_table
from bench.measure.flops import flops_per_exit
from bench.measure.latency import interleaved, ratio
from bench.pipeline import apply_strategy, initial_candidate, open_data, open_trainer, strategy_options
from bench.progress import console
from bench.records import environment
from bench.report.formats import terminal
from bench.runtimes import deploy
from bench.runtimes.registry import libraries
from bench.spec import RunSpec, stored_spec
from bench.stats import corrected_interval
from bench.study.study import answer, few_threads, timed_images
from models.detector import Detector
from models.families import inspector, of_model, resized, shallower
from strategies.all_positions import exits_at_all_positions, options_of, positions_of
from strategies.base import Candidate
from strategies.resize import sides

SCALES = (0.5, 0.6, 0.7, 0.8, 0.9)  # of the input's side, for the whole network
STEP = 32  # px


def scan_into(run: Path, options: Mapping[str, Any]) -> None:
    """Scan a run's baseline, write positions.json, .md and .png into the run's folder, and print the table.

    Args:
        run: the run's folder.
        options: how heads are trained, as `strategies.all_positions.options_of` takes them.

    Raises:
        UserError: the folder has no readable spec.json, or the run's detector has no such option.
    """
    spec = stored_spec(run)
    found = scan(spec, run, options)
    save(found, run / FILE)
    write_report(found, run)
    print(terminal(page(found)), end="")


def scan(spec: RunSpec, run: Path, given: Mapping[str, Any]) -> Positions:
    """Train the heads, or find them trained, then measure every position on val and on the run's first runtime.

    Args:
        spec: of the run.
        run: its folder, where trainings are kept.
        given: how heads are trained, as `strategies.all_positions.options_of` takes them.

    Returns:
        Every position, and the whole network at several inputs.

    Raises:
        UserError: the run's detector has no such option.
    """
    torch.set_num_threads(spec.threads)
    options = options_of(of_model(spec.model.name), given)
    size, seed = spec.model.size, spec.seed
    data = open_data(spec.data, run, size=size, seed=seed)
    fit = open_trainer(data.train, run, spec)
    own = strategy_options(spec.strategy, spec.model, data.classes)
    initial = initial_candidate(spec.model, data.classes, seed)
    baseline = apply_strategy("baseline", initial, own, data, fit, unscored, seed)[-1]
    torch.manual_seed(spec.seed)
    places = positions_of(baseline.detector)
    strategy = exits_at_all_positions(baseline.detector, places, options)
    (chain,) = strategy.apply(baseline, fit=fit, score=unscored, train=data.train, val=data.val, seed=spec.seed)
    unit, alone = inspector(baseline.detector).unit, shallower(baseline.detector).alone
    detectors = {f"{unit} {after}": alone(chain.detector, exit) for exit, after in enumerate(places)}
    for size in sides(spec.model.size, SCALES, STEP):
        if size < spec.model.size:
            detectors[f"{size} px"] = resized(baseline.detector, size)
    measured = measure(detectors, baseline.detector, spec, data.val, run / "artifacts" / "positions")
    return Positions(
        settings=options,
        runtime=spec.runtimes[0],
        val_images=len(data.val),
        split=data.val.hash,
        seed=spec.seed,
        places=tuple(measured),
        environment=environment(spec.threads, libraries(spec.runtimes[0])),
    )


def measure(detectors: dict[str, Detector], whole: Detector, spec: RunSpec, val: Split, folder: Path) -> list[Place]:
    """Accuracy and cost of the whole network and of one-exit detectors, all taking turns on the same images.

    Args:
        detectors: one-exit detectors by name.
        whole: the whole network.
        spec: of the run: runtime, images, repeats and threads.
        val: the split that everything is measured on.
        folder: where artifacts go.

    Returns:
        The whole network's place first, then the detectors' in order.
    """
    found = {"whole": whole, **detectors}
    deployed = {
        name: deploy(
            Candidate("positions", name, one.eval()), spec.runtimes[0], threads=spec.threads, folder=folder / name
        )
        for name, one in found.items()
    }
    chosen = timed_images(spec.measure, spec.seed, val)
    images = [np.array(val.image(int(index))) for index in chosen]
    contenders = {name: partial(answer, one, static(0, 1)) for name, one in deployed.items()}
    with few_threads(deployed["whole"]):
        timings = interleaved(
            contenders, images, repeats=spec.measure.repeats, warmup=spec.measure.warmup, seed=spec.seed
        )
    places = []
    for name, one in deployed.items():
        matches = evaluate(exit_table(one, val), val.coco())
        everywhere = np.zeros(len(val), int)
        reached = accuracy(matches, everywhere, full=False)
        drawn = bootstrap_map(matches, everywhere, spec.measure.resamples, spec.seed)
        size = found[name].size
        share = ratio(timings[name], timings["whole"], resamples=spec.measure.resamples, seed=spec.seed)
        places.append(
            Place(
                name=name,
                map=reached.map or 0.0,
                map50=reached.map50 or 0.0,
                interval=corrected_interval(np.nan_to_num(drawn), reached.map or 0.0),
                flops=flops_per_exit(list(found[name].stages), (torch.zeros(1, 3, size, size),))[-1].flops,
                ms=float(timings[name].per_image.mean()),
                time=share[0],
                time_interval=share[1:],
            )
        )
        console.print(f"  {name}: mAP {places[-1].map:.3f}, {places[-1].time:.2f} of the time", markup=False)
    return places


def unscored(candidate: Candidate) -> float:
    """Stand in for the score of a candidate where a strategy must not choose by one.

    Raises:
        AssertionError: always.
    """
    raise AssertionError(f"{candidate.strategy} was not to be scored")
