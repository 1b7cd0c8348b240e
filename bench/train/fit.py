"""Training, the one way every strategy gets it: AdamW on a one-cycle schedule.

A checkpoint is stored after every epoch, under a fingerprint of everything that went in. A fit whose fingerprint is
already on disk is loaded instead of repeated; one that was interrupted goes on where its last whole epoch ended.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.files import read_text, replacing
from bench.progress import bar
from bench.train.batches import Epochs
from bench.train.cached import Prepared
from models import families
from models.detector import Detector
from models.errors import UserError
from strategies.base import Objective, Prepare


def weights_hash(module: nn.Module) -> str:
    """sha256 over the names, shapes and bytes of all parameters and buffers.

    Args:
        module: any module.

    Returns:
        The hash, in hex.
    """
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@dataclass
class Trainer:
    """A `strategies.base.Fit` bound to one training split.

    Attributes:
        batches: the training images.
        data_hash: hash of the training split.
        folder: where checkpoints go.
        batch_size: images per step.
        seed: of the order, the augmentation and the network's own randomness.
        device: "cpu", or "cuda" to train there in bfloat16 (mixed precision: weights stay in fp32).
    """

    batches: Epochs
    data_hash: str
    folder: Path
    batch_size: int
    seed: int
    device: str = "cpu"

    def __call__(
        self,
        detector: Detector,
        *,
        name: str,
        objective: Objective,
        epochs: int,
        learning_rate: float,
        pretrained_modules: Sequence[nn.Module] = (),
        pretrained_lr_scale: float = 1.0,
        rates: Mapping[str, float] | None = None,
        options: str = "",
        prepare: Prepare | None = None,
        augmentations: int = 1,
    ) -> Detector:
        """Train a detector, or load it if this very training is on disk.

        The fingerprint cannot look inside `objective`, so `name`, `options` and the detector must determine it.

        Args:
            detector: the detector to train, changed in place.
            name: of this training; seeds it and names its files.
            objective: the named losses to sum.
            epochs: passes over the training images; 0 trains nothing.
            learning_rate: peak AdamW learning rate.
            pretrained_modules: modules that arrive trained. Their batch norm keeps its statistics, and they learn at
                `pretrained_lr_scale` times the learning rate.
            pretrained_lr_scale: at least 0; at 0 the pretrained modules are frozen.
            rates: further factors of the learning rate, by the beginning of a parameter's name (the longest one that
                fits counts); a factor of 0 freezes.
            options: what decides the objective besides `name`, as text.
            prepare: computes what never changes while training, once for each image and augmentation
                (`bench.train.cached`).
            augmentations: how many augmentations of each image are prepared, at least 1.

        Returns:
            The detector in eval mode, on the CPU.

        Raises:
            UserError: there are too few images to learn from at once, or a loss is no longer a number.
        """
        recipe: dict[str, Any] = {  # keys older than the parameters' names: they keep earlier trainings valid
            "name": name,
            "options": options,
            "epochs": epochs,
            "rate": learning_rate,
            "inherited_rate": pretrained_lr_scale,
            "batch": self.batch_size,
            "seed": self.seed,
            "data": self.data_hash,
            "start": weights_hash(detector),
            "inherited": len(pretrained_modules),
        }
        recipe |= {"views": augmentations} if prepare else {}
        recipe |= {"rates": dict(rates)} if rates else {}
        recipe |= {"device": self.device} if self.device != "cpu" else {}
        fingerprint = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
        done = self.folder / f"{name}-{fingerprint[:12]}.safetensors"
        if done.exists():
            detector.load_state_dict(load_file(done))
            return detector.eval()
        if epochs > 0:
            together = min(self.batch_size, len(self.batches))
            fix = "give it more training images" if together < self.batch_size else "raise batch_size"
            families.check_batch(detector.family, together, where=f"training {name}", fix=fix)
            for module in pretrained_modules:
                module.requires_grad_(pretrained_lr_scale > 0)
            groups = parameter_groups(detector, pretrained_modules, learning_rate, pretrained_lr_scale, rates or {})
            part = done.with_suffix(".part")
            self._train(detector, objective, epochs, groups, pretrained_modules, part, prepare, augmentations)
        with replacing(done) as partial:
            save_file({key: value.contiguous() for key, value in detector.state_dict().items()}, partial)
        done.with_suffix(".part").unlink(missing_ok=True)
        return detector.eval()

    def _train(
        self,
        detector: Detector,
        objective: Objective,
        epochs: int,
        groups: list[dict[str, Any]],
        pretrained_modules: Sequence[nn.Module],
        part: Path,
        prepare: Prepare | None,
        augmentations: int,
    ) -> None:
        detector.to(self.device).to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=True)
        steps = max(1, len(self.batches) // min(self.batch_size, len(self.batches)))
        peaks = [group["lr"] for group in optimizer.param_groups]
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=peaks, total_steps=epochs * steps + 1, pct_start=0.15, cycle_momentum=False
        )
        name = part.name.rsplit("-", 1)[0]
        first = self._restore(part, detector, optimizer, schedule)
        log = LossLog(part.with_suffix(".losses.jsonl"), first)
        source: Epochs | Prepared = self.batches
        if prepare:
            source = self._prepared(detector.eval(), prepare, min(augmentations, epochs), name)
        with bar(f"training {name}", epochs * steps) as advance:
            advance(first * steps)
            for epoch in range(first, epochs):
                detector.train()
                for module in pretrained_modules:
                    if isinstance(module, nn.BatchNorm2d):
                        module.eval()
                torch.manual_seed(self._seed(name, epoch))
                for inputs, targets in source.epoch(self.batch_size, self._seed(name, epoch), detector.size):
                    if isinstance(inputs, Tensor):
                        inputs = detector.normalise.of_centred(inputs)
                    with mixed(self.device):
                        losses = objective(detector, moved(inputs, self.device), targets.to(self.device))
                    log.add(losses)
                    total = torch.stack(list(losses.values())).sum()
                    check_finite(total, losses, name)
                    optimizer.zero_grad(set_to_none=True)
                    total.backward()
                    nn.utils.clip_grad_norm_(detector.parameters(), 10.0)
                    optimizer.step()
                    schedule.step()
                    advance(note=f"epoch {epoch + 1}/{epochs} loss {float(total.detach()):.2f}")
                log.close_epoch(epoch + 1)
                state = {"model": detector.state_dict(), "optimizer": optimizer.state_dict()}
                with replacing(part) as partial:
                    torch.save(state | {"schedule": schedule.state_dict(), "epoch": epoch + 1}, partial)
        detector.to("cpu").to(memory_format=torch.contiguous_format).requires_grad_(True)

    def _prepared(self, detector: Detector, prepare: Prepare, augmentations: int, name: str) -> Prepared:
        seeds = [self._seed(f"{name}/view", view) for view in range(augmentations)]

        def make(images: Tensor) -> tuple[Tensor, ...]:
            with mixed(self.device):
                return prepare(detector, detector.normalise.of_centred(images).to(self.device))

        return Prepared(self.batches, seeds, self.batch_size, detector.size, make)

    def _seed(self, name: str, epoch: int) -> int:
        return zlib.crc32(f"{self.seed}/{name}/{epoch}".encode())

    def _restore(self, part: Path, detector: Detector, optimizer: Any, schedule: Any) -> int:
        """Load an interrupted fit's last whole epoch; returns how many epochs are done."""
        if not part.exists():
            return 0
        saved = torch.load(part, map_location=self.device, weights_only=True)
        detector.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        return saved["epoch"]


def mixed(device: str) -> torch.autocast:
    """bfloat16 autocast where it is quick and accurate enough (Micikevicius et al. 2018); on the CPU fp32 as always."""
    return torch.autocast(device, torch.bfloat16, enabled=device != "cpu")


def moved(inputs: Tensor | tuple[Tensor, ...], device: str) -> Tensor | tuple[Tensor, ...]:
    """Images, or the prepared tensors in their place, on a device."""
    return inputs.to(device) if isinstance(inputs, Tensor) else tuple(part.to(device) for part in inputs)


class LossLog:
    """Mean of every named loss, one JSON line per epoch, so that box and class losses can be compared afterwards.

    Args:
        path: the file.
        epochs: how many lines of an interrupted training to keep.
    """

    def __init__(self, path: Path, epochs: int):
        self.path = path
        self._lines = read_text(path).splitlines()[:epochs] if path.exists() else []
        self._sums: dict[str, float] = {}
        self._steps = 0

    def add(self, losses: dict[str, Tensor]) -> None:
        """Add the losses of one step."""
        self._steps += 1
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value.detach())

    def close_epoch(self, epoch: int) -> None:
        """Write the means of an epoch and begin the next."""
        means = {name: round(total / self._steps, 6) for name, total in self._sums.items()}
        self._lines.append(json.dumps({"epoch": epoch} | means))
        self._sums, self._steps = {}, 0
        with replacing(self.path) as partial:
            partial.write_text("\n".join(self._lines) + "\n", encoding="utf-8")


def parameter_groups(
    detector: nn.Module,
    pretrained_modules: Sequence[nn.Module],
    learning_rate: float,
    pretrained_lr_scale: float,
    rates: Mapping[str, float],
    decay: float = 0.02,
) -> list[dict[str, Any]]:
    """AdamW parameter groups of everything that is trained, by learning rate (see `strategies.base.Fit`).

    Weight decay acts only on weights of more than one dimension. Parameters whose factor is 0 are frozen here.

    Args:
        detector: the module to train.
        pretrained_modules: the parts of it that arrive trained.
        learning_rate: of everything else.
        pretrained_lr_scale: factor of the learning rate for the pretrained modules, at least 0.
        rates: further factors by the beginning of a parameter's name.
        decay: weight decay.

    Returns:
        Groups as torch's optimizers take them.
    """
    old = {id(parameter) for module in pretrained_modules for parameter in module.parameters()}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in detector.named_parameters():
        if parameter.requires_grad:
            factor = (pretrained_lr_scale if id(parameter) in old else 1.0) * factor_of(name, rates)
            parameter.requires_grad_(factor > 0)
            groups.setdefault((factor, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": members, "lr": learning_rate * factor, "weight_decay": decay if matrix else 0.0}
        for (factor, matrix), members in groups.items()
        if factor > 0
    ]


def factor_of(name: str, rates: Mapping[str, float]) -> float:
    """The factor under the longest key that a parameter's name begins with.

    Args:
        name: of the parameter.
        rates: factors by the beginning of a name, up to a dot.

    Returns:
        The factor; 1 where no key fits.
    """
    fitting = [start for start in rates if name == start or name.startswith(f"{start}.")]
    return rates[max(fitting, key=len)] if fitting else 1.0


def check_finite(total: Tensor, losses: dict[str, Tensor], name: str) -> None:
    """Stop as soon as a loss is not a number: to go on training would only waste time.

    Args:
        total: the sum of the losses.
        losses: by name.
        name: of the training.

    Raises:
        UserError: the total is not finite.
    """
    if not torch.isfinite(total):
        bad = [key for key, value in losses.items() if not torch.isfinite(value)]
        raise UserError(
            f"the loss is no longer a number: {', '.join(bad)}",
            where=f"training {name}",
            fix="lower learning_rate",
        )
