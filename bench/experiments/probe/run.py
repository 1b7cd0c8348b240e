"""The way a probe takes.

It runs val images through the trunk, trains the linear probe on it and measures that, does the same with an untrained
trunk, applies the rule, and writes numbers and pictures.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numba
import torch
from rich.console import Console

from bench.experiments.probe import rule
from bench.experiments.probe.attention import focus
from bench.experiments.probe.control import untrained
from bench.experiments.probe.features import PositionFeatures, collect
from bench.experiments.probe.figures import write_figures
from bench.experiments.probe.linear import First, fit, measure
from bench.experiments.probe.report import page, write_markdown
from bench.experiments.probe.result import FILE, Position, Probe, Settings
from bench.experiments.probe.target import UNTRAINED, ProbeTarget
from bench.experiments.probe.tokens import separation
from bench.experiments.stored import save
from bench.progress import console
from bench.records import environment
from bench.report.formats import terminal
from bench.train.batches import Batches
from bench.train.fit import Trainer, weights_hash
from models.detector import Detector
from models.errors import UserError
from models.families import inspector


def probe_into(
    target: ProbeTarget, after: Sequence[int] | None, settings: Settings, folder: Path, *, threads: int
) -> Probe:
    """Probe, write FOLDER/probe.json, probe.md, attention.png, tokens.png and linear.png, and print the table.

    Args:
        target: the detector, and the data to probe it on.
        after: the positions; None: the family's usual ones.
        settings: how the trunk is probed.
        folder: where files and trainings go.
        threads: of everything.

    Returns:
        What was found.

    Raises:
        UserError: there is no such position, or no object in the images.
    """
    torch.set_num_threads(threads)
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    detector, data = target.detector, target.data
    places = positions(detector, after)
    source = First(data.train, settings.train)
    trainer = Trainer(
        Batches(source, detector.size),
        f"{data.train.hash}/{len(source)}",
        folder / "checkpoints",
        settings.batch_size,
        target.seed,
    )
    seen, found = trunk("the trunk", detector, places, trainer, target, settings)
    control: list[Position] = []
    if settings.control and target.source != UNTRAINED:
        fresh = untrained(detector, target.seed)
        _, control = trunk("an untrained trunk", fresh, places, trainer, target, settings)
    unit = inspector(detector).unit
    ap50, theirs = ([one.linear.map50 for one in some] for some in (found, control))
    probe = Probe(
        model=target.model,
        source=target.source,
        weights_hash=weights_hash(detector),
        size=detector.size,
        unit=unit,
        data=data.name,
        classes=data.classes,
        splits={split.role: split.hash for split in (data.train, data.val)},
        images=len(seen[0].attention),
        train_images=len(source),
        val_images=len(data.val),
        seed=target.seed,
        settings=settings,
        positions=tuple(found),
        control=tuple(control),
        answers=tuple(rule.answers(ap50)),
        sentences=tuple(rule.sentences([f"{unit} {place}" for place in places], ap50, theirs)),
        environment=environment(threads),
    )
    save(probe, folder / FILE)
    write_markdown(probe, folder)
    write_figures(probe, seen, data.val, folder)
    print(terminal(page(probe), Console(width=None if sys.stdout.isatty() else 140)), end="")
    return probe


def positions(detector: Detector, after: Sequence[int] | None) -> tuple[int, ...]:
    """The positions to probe.

    Args:
        detector: the one to probe.
        after: those asked for; None or empty: the family's usual ones.

    Returns:
        Layers or blocks, increasing.

    Raises:
        UserError: they do not increase, or the detector has no such position.
    """
    of_family = inspector(detector)
    known = of_family.positions(detector)
    chosen = tuple(after) if after else tuple(place for place in of_family.usual if place in known)
    if list(chosen) != sorted(set(chosen)) or not set(chosen) <= set(known):
        fix = f"give increasing {of_family.unit}s within {known.start}..{known.stop - 1}"
        raise UserError(f"no such positions: {', '.join(map(str, chosen))}", where="--after", fix=fix)
    return chosen


def trunk(
    name: str, detector: Detector, after: Sequence[int], trainer: Trainer, target: ProbeTarget, settings: Settings
) -> tuple[list[PositionFeatures], list[Position]]:
    """Run all three experiments on one trunk.

    Args:
        name: printed above the progress bars.
        detector: whose trunk it is.
        after: the positions.
        trainer: trains the linear probe.
        target: the data and the seed.
        settings: how the trunk is probed.

    Returns:
        The features that were sampled, and the numbers, one entry per position each.
    """
    console.print(f"[bold]{name}[/]")
    val, seed = target.data.val, target.seed
    images = min(settings.images, len(val))
    seen = collect(detector, after, val, images, seed)
    made = fit(
        detector,
        after,
        trainer,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        augmentations=settings.augmentations,
    )
    targets = val.targets(range(images))
    found = [
        Position(
            after=place,
            side=one.attention.shape[-1],
            channels=one.channels,
            focus=focus(one.attention, targets, settings.resamples, seed),
            separation=separation(one, settings.resamples, seed),
            linear=linear,
        )
        for place, one, linear in zip(after, seen, measure(made, after, val, settings.resamples, seed), strict=True)
    ]
    return seen, found
