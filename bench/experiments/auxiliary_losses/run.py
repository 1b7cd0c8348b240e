"""What makes a YOLOS learn from little, and whether its middle layers detect without losses of their own.

The same small network is trained from scratch under different auxiliary losses. Each is then read after every third
layer twice: by the last layer's head, and by heads trained for these layers on the frozen trunk.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from bench.accuracy.coco import accuracy
from bench.data.shapes import shapes
from bench.data.split import Dataset, Split
from bench.experiments.auxiliary_losses.report import page, write_report
from bench.experiments.auxiliary_losses.result import FILE, RecipeComparison, RecipeResult, Settings
from bench.experiments.positions.run import unscored
from bench.experiments.stored import save
from bench.measure.exit_table import evaluate, exit_table
from bench.progress import console
from bench.records import environment
from bench.report.formats import terminal
from bench.runtimes import deploy
from bench.train.batches import Batches
from bench.train.fit import Trainer
from models.detector import Detector
from models.errors import unknown
from models.yolos.auxiliary import AuxiliaryLosses
from models.yolos.network import scratch
from strategies.base import Candidate, plain_objective
from strategies.baseline import Baseline
from strategies.multi_exit_yolos import MultiExitYolos

AFTER = (3, 6, 9, 12)
USUAL = "usual"
RECIPES = {
    "exits alone": AuxiliaryLosses(every=0, patches=False),
    "exits and patches": AuxiliaryLosses(every=0),
    USUAL: AuxiliaryLosses(),
    "and groups": AuxiliaryLosses(groups=1),
    "and denoising": AuxiliaryLosses(denoise=3),
}
STEPS = 6  # of each recipe in turn, to compare their times


def compare_into(folder: Path, settings: Settings, names: Sequence[str] = ()) -> None:
    """Compare recipes, write FOLDER/lessons.json, .md and .png, and print the table.

    Args:
        folder: where files and trainings go.
        settings: data, training and threads.
        names: of the recipes; empty: all.

    Raises:
        UserError: there is no such recipe.
    """
    found = compare(folder, settings, names)
    save(found, folder / FILE)
    write_report(found, folder)
    print(terminal(page(found), Console(width=None if sys.stdout.isatty() else 120)), end="")


def compare(folder: Path, settings: Settings, names: Sequence[str] = ()) -> RecipeComparison:
    """Train the network under each recipe and read its layers.

    Trainings are kept under FOLDER/checkpoints and found again.

    Args:
        folder: where trainings go.
        settings: data, training and threads.
        names: of the recipes; empty: all.

    Returns:
        Every recipe's AP50 per layer, and what a step costs.

    Raises:
        UserError: there is no such recipe.
    """
    for name in names:
        if name not in RECIPES:
            raise unknown("recipe", name, RECIPES, where="--recipes")
    torch.set_num_threads(settings.threads)
    train, val = settings.images
    data = shapes(settings.seed, train, val, 1, size=settings.pixels)
    batches = Batches(data.train, settings.pixels)
    trainer = Trainer(batches, data.train.hash, folder / "checkpoints", settings.batch_size, settings.seed)
    read: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {}
    for name in names or RECIPES:
        detector = trained(RECIPES[name], data, trainer, settings)
        shared, own = (ap50(after(detector, epochs, data, trainer, settings), data.val, folder) for epochs in (0, None))
        read[name] = shared, own
        console.print(f"  {name}: AP50 " + " ".join(f"{one:.3f}" for one in own), markup=False)
    steps = step_times(tuple(read), data, settings)
    results = [
        RecipeResult(name=name, auxiliary_losses=asdict(RECIPES[name]), shared=shared, own=own, step=steps[name])
        for name, (shared, own) in read.items()
    ]
    return RecipeComparison(
        settings=settings,
        after=AFTER,
        split=data.val.hash,
        recipes=tuple(results),
        environment=environment(settings.threads),
    )


def untrained(data: Dataset, settings: Settings) -> Detector:
    """The network with random weights, the same for every recipe."""
    torch.manual_seed(settings.seed)
    return scratch(data.classes, settings.pixels)


def trained(losses: AuxiliaryLosses, data: Dataset, trainer: Trainer, settings: Settings) -> Detector:
    """The network of one exit, trained from scratch under these auxiliary losses."""
    strategy = Baseline(epochs=settings.epochs, learning_rate=settings.learning_rate, auxiliary_losses=asdict(losses))
    start = Candidate("baseline", "start", untrained(data, settings))
    made = strategy.apply(start, fit=trainer, score=unscored, train=data.train, val=data.val, seed=settings.seed)
    return made[-1].detector


def after(detector: Detector, epochs: int | None, data: Dataset, trainer: Trainer, settings: Settings) -> Detector:
    """The network with exits after every third layer.

    Args:
        detector: the trained network of one exit.
        epochs: of the new heads on the frozen trunk; 0 leaves them copies of the last one, None takes the settings'.
        data: training and val images.
        trainer: trains the heads, or finds them trained.
        settings: of the experiment.

    Returns:
        A detector with an exit after every layer of AFTER.
    """
    strategy = MultiExitYolos(
        AFTER[:-1],
        epochs=settings.head_epochs if epochs is None else epochs,
        learning_rate=settings.learning_rate,
        augmentations=2,
    )
    start = Candidate("baseline", "trained", detector)
    (made,) = strategy.apply(start, fit=trainer, score=unscored, train=data.train, val=data.val, seed=settings.seed)
    return made.detector


def ap50(detector: Detector, val: Split, folder: Path) -> tuple[float, ...]:
    """AP50 on val of every exit when it answers all images."""
    candidate = Candidate("auxiliary-losses", "read", detector)
    deployed = deploy(candidate, "eager", threads=torch.get_num_threads(), folder=folder / "artifact")
    matches = evaluate(exit_table(deployed, val), val.coco())
    return tuple(accuracy(matches, np.full(len(val), exit), full=False).map50 or 0.0 for exit in range(detector.exits))


def step_times(names: Sequence[str], data: Dataset, settings: Settings) -> dict[str, float]:
    """Median time of a training step of each recipe, as a share of the usual one's.

    The recipes take turns on one batch, so that a slow moment of the machine meets all of them.

    Args:
        names: of the recipes.
        data: whose first training batch is used.
        settings: size of the images and of a batch, and the seed.

    Returns:
        Recipe name -> share of the usual recipe's time, above 0.
    """
    batches = Batches(data.train, settings.pixels)
    images, targets = next(iter(batches.epoch(settings.batch_size, settings.seed, settings.pixels)))
    known = {name: RECIPES[name] for name in (*names, USUAL)}
    detectors = {name: untrained(data, settings).train() for name in known}
    taken: dict[str, list[float]] = {name: [] for name in known}
    for _ in range(STEPS):
        for name, losses in known.items():
            detectors[name].auxiliary_losses = losses
            begun = time.perf_counter()
            parts = plain_objective(detectors[name], images, targets)
            torch.stack(list(parts.values())).sum().backward()
            taken[name].append(time.perf_counter() - begun)
    usual = statistics.median(taken[USUAL][1:])  # the first is warming up
    return {name: statistics.median(taken[name][1:]) / usual for name in names}
