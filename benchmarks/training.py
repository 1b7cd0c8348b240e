"""How fast training is: `python -m benchmarks.training`, from the root of the repository.

Images per second of our `bench.train.fit.Trainer` against the loop of torchvision's reference detection scripts, on the
same network, images, batch and threads; reading images, matching, losses and the optimiser's step included. Every
contender has a process of its own, since torch's threads and the allocator's habits belong to a process. They take
turns, a block of steps at a time and in a new order every round. A block begins with an untimed step and, where there
are workers, ends with their queue as full as it began.

torchvision: JPEG files decoded by Pillow in every epoch, the "ssdlite" augmentation of its presets (RandomIoUCrop and
a flip, from torchvision.transforms.v2), a DataLoader with some worker processes beside the training process, stock
`ssdlite320_mobilenet_v3_large` fed with lists of images and targets, SGD. Two things are left out, to its advantage:
that it draws a mask for every box when it reads COCO, and its logging. Ours is set against whichever number of workers
is fastest. bf16: ours with the network, but not the losses, under autocast; it is not in use.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler
from torchvision import tv_tensors
from torchvision.transforms import v2

from bench.data.images import Files
from bench.data.shapes import shapes
from bench.data.spec import load
from bench.data.split import Split
from bench.progress import console
from bench.stats import interval, resample
from bench.train.batches import Batches
from bench.train.fit import Trainer
from models.detector import Detector, Targets
from models.errors import UserError
from models.ssdlite.network import STOCK_SIZE, ssdlite, stock
from strategies.base import plain_losses

PARTS = ("data", "forward", "loss", "backward and step")
DATA, FORWARD, LOSS, STEP = range(len(PARTS))
SHAPE = 448, 336  # px, width and height of the generated photographs
RESAMPLES = 2000

Block = Callable[[], NDArray[np.float64]]  # trains for some steps and returns the seconds of each part, float64 [4]


@dataclass(frozen=True)
class Setting:
    """What all contenders share.

    Attributes:
        folder: of the data, in COCO format.
        classes: to keep; None keeps all.
        images: at most so many.
        batch: images in a batch.
        steps: timed ones in a block.
        threads: of each contender.
    """

    folder: Path
    classes: tuple[str, ...] | None
    images: int
    batch: int
    steps: int
    threads: int

    def split(self) -> Split:
        """The first training images that have boxes: torchvision's scripts drop the others."""
        whole = load(f"coco:{self.folder}", classes=self.classes).train
        kept = [i for i, example in enumerate(whole.examples) if (~example.crowd).any()][: self.images]
        files = Files([files_of(whole).paths[i] for i in kept])
        return replace(whole, examples=tuple(whole.examples[i] for i in kept), images=files)


def files_of(split: Split) -> Files:
    """The image files of a split that was read from a folder."""
    if not isinstance(split.images, Files):
        raise TypeError("these images are no files")
    return split.images


class Watch:
    """Seconds by part, from the second step on."""

    def __init__(self) -> None:
        self.seconds = np.zeros(len(PARTS))
        self.last = 0.0

    def mark(self, part: int) -> None:
        """Count the time since the last mark for one part.

        Args:
            part: index in PARTS.
        """
        now = time.perf_counter()
        self.seconds[part] += now - self.last
        self.last = now

    def over(self, batches: Iterator[Any], steps: int) -> Iterator[Any]:
        """Time some steps: one batch untimed, then `steps` batches.

        Args:
            batches: to take from.
            steps: timed ones.

        Yields:
            The batches; between two of them whoever asks has finished a step.
        """
        for step in range(1 + steps):
            if step == 1:
                self.seconds[:] = 0
                self.last = time.perf_counter()
            batch = next(batches)
            self.mark(DATA)
            yield batch
            self.mark(STEP)


@dataclass(frozen=True)
class Some:
    """A Trainer's batches, as many as a block needs.

    Attributes:
        batches: to take from.
        watch: times them.
        steps: timed ones in a block.
        batch_size: images in a batch.
    """

    batches: Batches
    watch: Watch
    steps: int
    batch_size: int

    def __len__(self) -> int:
        return (1 + self.steps) * self.batch_size

    def epoch(self, batch_size: int, seed: int, size: int | None = None) -> Iterator[tuple[Tensor, Targets]]:
        """The batches of one block.

        Args:
            batch_size: images in a batch.
            seed: of the order and the augmentation.
            size: side of the images in px; None: as stored.

        Returns:
            Images and targets, as `bench.train.batches.Batches.epoch` gives them.
        """
        epochs = (self.batches.epoch(batch_size, seed + n, size) for n in itertools.count())
        return self.watch.over(itertools.chain.from_iterable(epochs), self.steps)


def ours(setting: Setting, folder: Path, bf16: bool = False) -> Block:
    """Blocks of our Trainer, one short training each.

    Args:
        setting: what all contenders share.
        folder: for its checkpoints.
        bf16: whether the network runs under autocast.

    Returns:
        Trains for a block and returns its seconds by part.
    """
    console.quiet = True
    split, watch = setting.split(), Watch()
    some = Some(Batches(split, STOCK_SIZE), watch, setting.steps, setting.batch)
    trainer = Trainer(some, "", folder, setting.batch, seed=0)
    detector, blocks = ssdlite(split.classes, STOCK_SIZE), itertools.count()

    def objective(detector: Detector, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            raws = detector(images)
        raws = [(logits.float(), deltas.float()) for logits, deltas in raws]
        watch.mark(FORWARD)
        losses = plain_losses(detector, raws, targets)
        watch.mark(LOSS)
        return losses

    def block() -> NDArray[np.float64]:
        trainer(detector, name=f"block {next(blocks)}", objective=objective, epochs=1, learning_rate=1e-4)
        return watch.seconds.copy()

    return block


class Photographs(torch.utils.data.Dataset):
    """Image files and their boxes, read and augmented one at a time.

    Args:
        split: of files.
    """

    def __init__(self, split: Split):
        self.split, self.paths = split, files_of(split).paths
        self.transform = v2.Compose(
            [
                v2.RandomIoUCrop(),
                v2.RandomHorizontalFlip(),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.SanitizeBoundingBoxes(),
                v2.ToPureTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        example = self.split.examples[index]
        image = Image.open(self.paths[index]).convert("RGB")
        boxes = torch.tensor(example.boxes[~example.crowd])
        boxes = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(example.height, example.width))
        return self.transform(image, {"boxes": boxes, "labels": torch.tensor(example.labels[~example.crowd])})


def in_lists(
    samples: Sequence[tuple[Tensor, dict[str, Tensor]]],
) -> tuple[tuple[Tensor, ...], tuple[dict[str, Tensor], ...]]:
    """Images and targets, not stacked: they differ in size."""
    images, targets = zip(*samples, strict=True)
    return images, targets


def torchvisions(setting: Setting, workers: int) -> Block:
    """Blocks of torchvision's loop.

    What its model does before the trunk, resizing, counts as data, and what it does after laying out the anchors as
    loss.

    Args:
        setting: what all contenders share.
        workers: processes that load data.

    Returns:
        Trains for a block and returns its seconds by part.
    """
    split, watch = setting.split(), Watch()
    model = stock(1 + len(split.classes)).train()
    model.get_submodule("transform").register_forward_hook(lambda *_: watch.mark(DATA))
    model.get_submodule("anchor_generator").register_forward_hook(lambda *_: watch.mark(FORWARD))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=4e-5)
    ahead = 2 * workers  # batches that workers prepare before they are asked
    sampler = RandomSampler(split, num_samples=(1 + setting.steps + ahead) * setting.batch)
    loader = DataLoader(
        Photographs(split),
        batch_size=setting.batch,
        sampler=sampler,
        num_workers=workers,
        collate_fn=in_lists,
        persistent_workers=workers > 0,
    )

    def block() -> NDArray[np.float64]:
        batches = iter(loader)
        for images, targets in watch.over(batches, setting.steps):
            losses = model(list(images), [dict(target) for target in targets])
            watch.mark(LOSS)
            total = sum(losses.values())
            if not np.isfinite(total.item()):
                raise FloatingPointError("the loss is no longer a number")
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
        seconds = watch.seconds.copy()
        for _ in batches:  # so that no worker has anything to do during the others' blocks
            pass
        return seconds

    return block


def serve(pipe: Connection, threads: int, build: Callable[[], Block]) -> None:
    """A contender's process: a block whenever it is asked for one, until the other end is closed.

    Args:
        pipe: to the process that asks.
        threads: of this process.
        build: makes what trains for a block.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    block = build()
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        pipe.send(block())


def in_turns(
    contenders: Mapping[str, Callable[[], Block]], rounds: int, threads: int
) -> dict[str, NDArray[np.float64]]:
    """Let the contenders train in turns; a first round is thrown away.

    Args:
        contenders: by name, what builds the block in its process.
        rounds: timed ones.
        threads: of each contender.

    Returns:
        Seconds by part, float64 [rounds, 4], by name.
    """
    context = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    for name, build in contenders.items():
        pipes[name], theirs = context.Pipe()
        processes.append(context.Process(target=serve, args=(theirs, threads, build)))
        processes[-1].start()
        theirs.close()
    seconds: dict[str, list[NDArray[np.float64]]] = {name: [] for name in contenders}
    order, rng = list(contenders), random.Random(0)
    try:
        for _ in range(1 + rounds):
            rng.shuffle(order)
            for name in order:
                pipes[name].send("a block")
                seconds[name].append(pipes[name].recv())
    finally:
        for pipe in pipes.values():
            pipe.close()
        for process in processes:
            process.join()
    return {name: np.array(blocks[1:]) for name, blocks in seconds.items()}


@dataclass(frozen=True)
class Row:
    """One contender's result.

    Attributes:
        name: of the contender.
        rate: images per second, the median over rounds.
        ratio: of the rate to the fastest reference's in the same round, the median over rounds.
        low: lower end of the ratio's 95 % interval (bootstrap over rounds).
        high: upper end.
        shares: of the time by part, float64 [4].
    """

    name: str
    rate: float
    ratio: float
    low: float
    high: float
    shares: NDArray[np.float64]


def compare(seconds: dict[str, NDArray[np.float64]], references: Sequence[str], images: int) -> list[Row]:
    """A row for each contender, against the fastest reference.

    Args:
        seconds: by name, see `in_turns`.
        references: names of those to compare with.
        images: in a block.

    Returns:
        The rows, in the order of `seconds`.
    """
    rates = {name: images / blocks.sum(axis=1) for name, blocks in seconds.items()}
    fastest = max(references, key=lambda name: np.median(rates[name]))
    rows = []
    for name, rate in rates.items():
        ratios = rate / rates[fastest]
        draws = np.median(ratios[resample(len(ratios), RESAMPLES, seed=0)], axis=1)
        shares = seconds[name].sum(axis=0) / seconds[name].sum()
        rows.append(Row(name, float(np.median(rate)), float(np.median(ratios)), *interval(draws), shares))
    return rows


def show(rows: Sequence[Row]) -> None:
    """Print the rows as a table."""
    print(f"{'':<24}{'images/s':>9}  {'ratio [95 %]':<20}" + "".join(f"{part:>19}" for part in PARTS))
    for row in rows:
        ratio = f"{row.ratio:.2f} [{row.low:.2f}, {row.high:.2f}]"
        shares = "".join(f"{100 * share:>17.1f} %" for share in row.shares)
        print(f"{row.name:<24}{row.rate:>9.1f}  {ratio:<20}{shares}")


def write_shapes(folder: Path, images: int) -> None:
    """Generated training scenes as JPEG files in COCO format, and one image for each other split.

    Args:
        folder: to write.
        images: how many training images.
    """
    width, height = SHAPE
    (folder / "images").mkdir(parents=True)
    data = shapes(0, images, 1, 1, size=width)
    for split in (data.train, data.val, data.test):
        truth = deepcopy(split.coco())
        for index, entry in enumerate(truth["images"]):
            entry |= {"file_name": f"{split.role}-{index}.jpg", "height": height}
            scene = Image.fromarray(split.image(index)).resize(SHAPE)
            scene.save(folder / "images" / entry["file_name"], quality=90)
        for annotation in truth["annotations"]:
            x, y, w, h = annotation["bbox"]
            annotation["bbox"] = [x, y * height / width, w, h * height / width]
            annotation["area"] *= height / width
        (folder / f"instances_{split.role}.json").write_text(json.dumps(truth), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and print its result.

    Args:
        arguments: of the command line; None: those of this process.

    Returns:
        A row for each contender.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder in COCO format; generated images unless told")
    parser.add_argument("--classes", help="of --data, separated by commas; all unless told")
    for name, count in {"images": 256, "batch": 16, "steps": 4, "rounds": 10, "threads": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=count, help=f"{count} unless told")
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[0, 1, 2], help="torchvision's worker processes, each tried (0 1 2)"
    )
    options = parser.parse_args(arguments)
    classes = tuple(options.classes.split(",")) if options.classes else None

    with tempfile.TemporaryDirectory() as scratch:
        folder = options.data or Path(scratch) / "shapes"
        if options.data is None:
            write_shapes(folder, options.images)
        setting = Setting(folder, classes, options.images, options.batch, options.steps, options.threads)
        try:
            found = len(setting.split())
        except UserError as error:
            parser.error(str(error))
        if found < options.batch:
            parser.error(f"{found} images with boxes are too few for a batch of {options.batch}")
        references = {f"torchvision, {n} workers": partial(torchvisions, setting, n) for n in options.workers}
        own = {
            name: partial(ours, setting, Path(scratch) / name, bf16) for name, bf16 in (("ours", False), ("bf16", True))
        }
        seconds = in_turns(references | own, options.rounds, options.threads)
    rows = compare(seconds, list(references), options.steps * options.batch)
    print(f"{found} images, batch {options.batch}, {options.threads} threads, {options.rounds} rounds")
    show(rows)
    return rows


if __name__ == "__main__":
    main()
