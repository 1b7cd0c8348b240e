"""The way a probe takes: look at val images through the trunk, train the linear probe on it, measure that, do the same
with an untrained trunk, apply the rule, write numbers and pictures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numba
import torch
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from bench.experiments.probe import rule
from bench.experiments.probe.attention import focus
from bench.experiments.probe.control import untrained
from bench.experiments.probe.figures import write_figures
from bench.experiments.probe.linear import First, fit, measure
from bench.experiments.probe.observed import Seen, watch
from bench.experiments.probe.report import page, write_markdown
from bench.experiments.probe.result import FILE, Position, Probe
from bench.experiments.probe.target import UNTRAINED, Subject
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


class Settings(BaseModel):
    """images: of val that attention and tokens are of. train: images of the linear probe at most. epochs, rate, views,
    batch: as `bench.train.fit.Trainer` says. resamples: of the bootstrap. control: whether an untrained trunk is
    probed too.

    The maps of all views lie in memory as fp16: 1.2 MB an image and view for four layers of yolos-small at 320 px."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int = Field(200, ge=5)
    train: int = Field(2000, ge=1)
    epochs: int = Field(8, ge=1)
    rate: float = Field(3e-3, gt=0)
    views: int = Field(2, ge=1)
    batch: int = Field(16, ge=1)
    resamples: int = Field(1000, ge=100)
    control: bool = True


def probe_into(
    subject: Subject, after: Sequence[int] | None, settings: Settings, folder: Path, *, threads: int
) -> Probe:
    """Probe, write FOLDER/probe.json, probe.md, attention.png, tokens.png and linear.png, and print the table."""
    torch.set_num_threads(threads)
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    detector, data = subject.detector, subject.data
    places = positions(detector, after)
    source = First(data.train, settings.train)
    trainer = Trainer(
        Batches(source, detector.size),
        f"{data.train.hash}/{len(source)}",
        folder / "checkpoints",
        settings.batch,
        subject.seed,
    )
    seen, found = trunk("the trunk", detector, places, trainer, subject, settings)
    control: list[Position] = []
    if settings.control and subject.source != UNTRAINED:
        fresh = untrained(detector, subject.seed)
        _, control = trunk("an untrained trunk", fresh, places, trainer, subject, settings)
    unit = inspector(detector).unit
    ap50, theirs = ([one.linear.map50 for one in some] for some in (found, control))
    probe = Probe(
        model=subject.model,
        source=subject.source,
        weights_hash=weights_hash(detector),
        size=detector.size,
        unit=unit,
        data=data.name,
        classes=data.classes,
        splits={split.role: split.hash for split in (data.train, data.val)},
        images=len(seen[0].attention),
        train_images=len(source),
        val_images=len(data.val),
        seed=subject.seed,
        settings=settings.model_dump(),
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
    """The positions asked for, or the usual ones. UserError unless they increase and are there."""
    of_family = inspector(detector)
    known = of_family.positions(detector)
    chosen = tuple(after) if after else tuple(place for place in of_family.usual if place in known)
    if list(chosen) != sorted(set(chosen)) or not set(chosen) <= set(known):
        fix = f"give increasing {of_family.unit}s within {known.start}..{known.stop - 1}"
        raise UserError(f"no such positions: {', '.join(map(str, chosen))}", where="--after", fix=fix)
    return chosen


def trunk(
    name: str, detector: Detector, after: Sequence[int], trainer: Trainer, subject: Subject, settings: Settings
) -> tuple[list[Seen], list[Position]]:
    """All three experiments on one trunk: what was seen, and the numbers."""
    console.print(f"[bold]{name}[/]")
    val, seed = subject.data.val, subject.seed
    images = min(settings.images, len(val))
    seen = watch(detector, after, val, images, seed)
    made = fit(detector, after, trainer, epochs=settings.epochs, rate=settings.rate, views=settings.views)
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
