"""Nine failed rounds of training early exits, replayed small: would the alarms have told?

Each recipe is trained once with anchors dealt at random and once with anchors matched by IoU, and is measured as
everything else is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numba
import numpy as np
import torch
from rich.console import Console

from bench.accuracy.coco import accuracy
from bench.accuracy.pool import pooled
from bench.data.shapes import shapes
from bench.data.split import Dataset, Split, tunable
from bench.exits.policy import Policy
from bench.exits.registry import CRITERIA
from bench.experiments.phases.random_assignment import round_robin
from bench.experiments.phases.recipes import RECIPES, Assignment, Recipe
from bench.experiments.phases.report import page, write_report
from bench.experiments.phases.result import FILE, Phases, Run, Settings
from bench.experiments.phases.router import Router, confidence
from bench.experiments.stored import save
from bench.measure.exit_table import evaluate, exit_table
from bench.measure.flops import flops_per_exit
from bench.progress import console
from bench.records import environment
from bench.report.formats import terminal
from bench.routing.alarms import detector_faults, policy_alarms
from bench.routing.search import exit_shares, policies, routings
from bench.runtimes import Deployed, deploy
from bench.train.batches import Batches
from bench.train.fit import Trainer
from models.detector import Detector
from models.errors import unknown
from models.matching import match
from models.ssdlite.exits import add_exits, pretrained_modules
from models.ssdlite.loss import SSDLoss
from models.ssdlite.network import ssdlite
from models.temperature import fit_temperatures
from strategies.base import Candidate, plain_objective

AFTER, WIDTHS = (8, 12), (128, 256)
PRETRAINED_LR_SCALE = 0.3
TOLERANCE = 0.05  # relative mAP that the sound recipe's policy may lose on val
ASSIGN = {"random": round_robin, "iou": match}


def replay_into(folder: Path, settings: Settings, names: Sequence[str] = ()) -> bool:
    """Replay, write FOLDER/phases.json, phases.md and phases.png, and print the table.

    Args:
        folder: where files and trainings go.
        settings: data, training and threads.
        names: of the recipes; empty: all.

    Returns:
        Whether every recipe met its expectation.

    Raises:
        UserError: there is no such recipe.
    """
    torch.set_num_threads(settings.threads)
    numba.set_num_threads(min(settings.threads, numba.config.NUMBA_NUM_THREADS))
    found = replay(folder, settings, names)
    save(found, folder / FILE)
    write_report(found, folder)
    print(terminal(page(found), Console(width=None if sys.stdout.isatty() else 140)), end="")
    return found.as_expected


def replay(folder: Path, settings: Settings, names: Sequence[str] = ()) -> Phases:
    """Train and measure recipes, each under both assignments.

    Trainings are kept under FOLDER/checkpoints and found again.

    Args:
        folder: where trainings and artifacts go.
        settings: data, training and threads.
        names: of the recipes; empty: all.

    Returns:
        Every run, and the splits they share.

    Raises:
        UserError: there is no such recipe.
    """
    for name in names:
        if name not in RECIPES:
            raise unknown("recipe", name, RECIPES, where="--recipes")
    data = figures(settings)
    batches = Batches(data.train, settings.pixels)
    trainer = Trainer(batches, data.train.hash, folder / "checkpoints", settings.batch_size, settings.seed)
    runs = []
    for assignment in get_args(Assignment):
        start = baseline(assignment, data, trainer, settings)
        for name in names or RECIPES:
            runs.append(run(RECIPES[name], assignment, start, data, trainer, settings, folder))
            console.print(f"  {assignment} {name}: {runs[-1].outcome}", markup=False)
    hashes = {split.role: split.hash for split in data.splits}
    return Phases(settings=settings, splits=hashes, runs=tuple(runs), environment=environment(settings.threads))


def figures(settings: Settings) -> Dataset:
    """The generated shapes as one class, since the rounds had one class too."""

    def merged(split: Split) -> Split:
        examples = tuple(replace(one, labels=np.ones_like(one.labels)) for one in split.examples)
        return Split(split.role, ("figure",), examples, split.images)

    data = shapes(settings.seed, *settings.images, size=settings.pixels)
    return Dataset("figures", ("figure",), *map(merged, data.splits))


def baseline(assignment: Assignment, data: Dataset, trainer: Trainer, settings: Settings) -> Detector:
    """The detector without exits that all recipes of an assignment start from, trained under it."""
    torch.manual_seed(settings.seed)
    detector = ssdlite(data.classes, settings.pixels)
    assert isinstance(detector.loss, SSDLoss)
    detector.loss.assign = ASSIGN[assignment]
    return trainer(
        detector,
        name=f"baseline-{assignment}",
        objective=plain_objective,
        epochs=settings.baseline_epochs,
        learning_rate=settings.learning_rate,
    )


def run(
    recipe: Recipe,
    assignment: Assignment,
    start: Detector,
    data: Dataset,
    trainer: Trainer,
    settings: Settings,
    folder: Path,
) -> Run:
    """One recipe under one assignment: trained, measured on the test images, and checked by every alarm.

    Args:
        recipe: of the round.
        assignment: how anchors get their objects in training.
        start: the detector without exits that was trained under this assignment.
        data: the three splits.
        trainer: trains, or finds trained.
        settings: of the experiment.
        folder: where artifacts go.

    Returns:
        What it reached, and what the alarms said.
    """
    detector, thresholds = train(recipe, assignment, start, data, trainer, settings)
    deployed = deploy(
        Candidate(recipe.name, assignment, detector), "eager", threads=settings.threads, folder=folder / "artifact"
    )
    table = exit_table(deployed, data.test)
    matches = evaluate(table, data.test.coco())
    if thresholds is None:
        policy = searched(deployed, data.val)
        criterion = str(policy.criterion)
        scores = table.scores[criterion]
    else:
        criterion = "confidence"
        policy = Policy(criterion, thresholds)
        scores = confidences(detector, data.test, recipe)
    exits = policy.route(scores)
    temperatures = [float(stage.temperature) for stage in detector.stages]
    faults = detector_faults(matches, table.health, temperatures, settings.seed)
    faults |= {"gate collapsed": policy_alarms(exits, detector.exits)}
    alone = [accuracy(matches, np.full(len(exits), exit), full=False) for exit in range(detector.exits)]
    return Run(
        recipe=recipe.name,
        tried=recipe.tried,
        assignment=assignment,
        map_per_exit=tuple(one.map for one in alone),
        map50_per_exit=tuple(one.map50 for one in alone),
        map=accuracy(matches, exits, full=False).map,
        exit_share=tuple(np.bincount(exits, minlength=detector.exits) / len(exits)),
        mean_confidence=tuple(scores.mean(axis=0)),
        criterion=criterion,
        thresholds=tuple(None if np.isinf(one) else one for one in policy.thresholds),
        temperatures=tuple(temperatures),
        alarms={name: tuple(said) for name, said in faults.items() if said},
        expected="passes" if assignment in recipe.passes else "caught",
    )


def train(
    recipe: Recipe, assignment: Assignment, start: Detector, data: Dataset, trainer: Trainer, settings: Settings
) -> tuple[Detector, tuple[float, float] | None]:
    """Train a detector with exits as a recipe says.

    Recipes that differ in nothing the training looks at share one.

    Args:
        recipe: of the round.
        assignment: names the training.
        start: the detector without exits.
        data: training images, and val images to fit temperatures on.
        trainer: trains, or finds trained.
        settings: of the experiment.

    Returns:
        The detector, and the thresholds of exits 1 and 2 that it ends with; None: they are to be searched.
    """
    torch.manual_seed(settings.seed)
    detector = add_exits(start, AFTER, WIDTHS)
    pretrained = pretrained_modules(detector)
    detector.router = router = Router(recipe, settings.epochs * max(1, len(data.train) // settings.batch_size))
    options = f"{recipe.weighting} {recipe.learned} {recipe.quality} warm-up {recipe.warmup} {recipe.temperature}"
    trainer(
        detector,
        name=f"exits-{assignment}",
        objective=router,
        options=f"{options} to {router.end}",
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        pretrained_modules=pretrained,
        pretrained_lr_scale=PRETRAINED_LR_SCALE,
    )
    del detector.router
    if recipe.temperature == "fitted":
        fit_temperatures(detector, data.val)
        return detector, None
    with torch.no_grad():
        for stage, temperature in zip(detector.stages, router.temperatures(), strict=True):
            stage.temperature.copy_(temperature)
        first, second = router.thresholds().tolist()
    if recipe.learned or recipe.thresholds is None:
        return detector, (first, second)
    return detector, recipe.thresholds[1]


def searched(deployed: Deployed, val: Split) -> Policy:
    """The cheapest policy on val, by any criterion, that loses no more than TOLERANCE of the last exit's mAP there.

    Args:
        deployed: the detector with exits.
        val: where policies are tried.

    Returns:
        The policy with the fewest mean FLOPs.
    """
    table = exit_table(deployed, tunable(val))
    tried = policies(table, list(CRITERIA))
    exits = routings(tried, table)
    pool = pooled(tuple(evaluate(table, val.coco())))
    maps, full = np.nan_to_num(pool.map_many(exits)), np.nan_to_num(pool.map(np.full(len(val), table.exits - 1)))
    size = deployed.candidate.detector.size
    costs = flops_per_exit(list(deployed.candidate.detector.stages), (torch.zeros(1, 3, size, size),))
    mean = exit_shares(exits, table.exits) @ [cost.flops for cost in costs]
    return tried[int(np.where(maps >= (1 - TOLERANCE) * full, mean, np.inf).argmin())]


@torch.inference_mode()
def confidences(detector: Detector, split: Split, recipe: Recipe) -> np.ndarray:
    """The confidence of every exit in every image, as a recipe's training computes it.

    Args:
        detector: of E exits.
        split: of N images.
        recipe: of the round.

    Returns:
        float64 [N, E] in [0, 1].
    """
    rows = []
    for index in range(len(split)):
        answers = detector(detector.to_input(split.image(index)))
        foreground = [1 - logits.softmax(-1)[..., 0] for logits, _ in answers]
        rows.append([float(confidence(one, recipe.quality)) for one in foreground])
    return np.array(rows)
