"""Training, the one way every strategy gets it: AdamW on a one-cycle schedule, a checkpoint after every epoch, and a
fingerprint of everything that went in. A fit whose fingerprint is already on disk is loaded instead of repeated; one
that was interrupted goes on where its last whole epoch ended."""

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

from bench.files import replacing
from bench.progress import bar
from bench.train.batches import Batches
from bench.train.cached import Prepared
from models.detector import Detector
from models.errors import UserError
from strategies.base import Objective, Prepare


def weights_hash(module: nn.Module) -> str:
    """sha256 over the names, shapes and bytes of all parameters and buffers, as hex."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@dataclass
class Trainer:
    """A `strategies.base.Fit` bound to one training split.

    data_hash: of the training split. folder: where checkpoints go. batch: images a step. device: "cpu", or "cuda" to
    train there in bfloat16 (mixed precision: weights stay in fp32).
    """

    batches: Batches
    data_hash: str
    folder: Path
    batch: int
    seed: int
    device: str = "cpu"

    def __call__(
        self,
        detector: Detector,
        *,
        name: str,
        objective: Objective,
        epochs: int,
        rate: float,
        inherited: Sequence[nn.Module] = (),
        inherited_rate: float = 1.0,
        rates: Mapping[str, float] | None = None,
        options: str = "",
        prepare: Prepare | None = None,
        views: int = 1,
    ) -> Detector:
        """Train `detector` in place and return it in eval mode, on the CPU. `objective` must be determined by `name`,
        `options` and the detector: the fingerprint cannot look inside it."""
        recipe = {
            "name": name,
            "options": options,
            "epochs": epochs,
            "rate": rate,
            "inherited_rate": inherited_rate,
            "batch": self.batch,
        }
        recipe |= {
            "seed": self.seed,
            "data": self.data_hash,
            "start": weights_hash(detector),
            "inherited": len(inherited),
        }
        recipe |= {"views": views} if prepare else {}
        recipe |= {"rates": dict(rates)} if rates else {}
        recipe |= {"device": self.device} if self.device != "cpu" else {}
        fingerprint = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
        done = self.folder / f"{name}-{fingerprint[:12]}.safetensors"
        if done.exists():
            detector.load_state_dict(load_file(done))
            return detector.eval()
        if epochs > 0:
            for module in inherited:
                module.requires_grad_(inherited_rate > 0)
            groups = parameter_groups(detector, inherited, rate, inherited_rate, rates or {})
            self._train(detector, objective, epochs, groups, inherited, done.with_suffix(".part"), prepare, views)
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
        inherited: Sequence[nn.Module],
        part: Path,
        prepare: Prepare | None,
        views: int,
    ) -> None:
        detector.to(self.device, memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=True)
        steps = max(1, len(self.batches) // min(self.batch, len(self.batches)))
        peaks = [group["lr"] for group in optimizer.param_groups]
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=peaks, total_steps=epochs * steps + 1, pct_start=0.15, cycle_momentum=False
        )
        name = part.name.rsplit("-", 1)[0]
        first = self._restore(part, detector, optimizer, schedule)
        log = LossLog(part.with_suffix(".losses.jsonl"), first)
        source = self._prepared(detector.eval(), prepare, min(views, epochs), name) if prepare else self.batches
        with bar(f"training {name}", epochs * steps) as advance:
            advance(first * steps)
            for epoch in range(first, epochs):
                detector.train()
                for module in inherited:
                    if isinstance(module, nn.BatchNorm2d):
                        module.eval()
                torch.manual_seed(self._seed(name, epoch))
                for inputs, targets in source.epoch(self.batch, self._seed(name, epoch), detector.size):
                    if prepare is None:
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
        detector.to("cpu", memory_format=torch.contiguous_format).requires_grad_(True)

    def _prepared(self, detector: Detector, prepare: Prepare, views: int, name: str) -> Prepared:
        seeds = [self._seed(f"{name}/view", view) for view in range(views)]

        def make(images: Tensor) -> tuple[Tensor, ...]:
            with mixed(self.device):
                return prepare(detector, moved(detector.normalise.of_centred(images), self.device))

        return Prepared(self.batches, seeds, self.batch, detector.size, make)

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
    """bfloat16 where it is quick and accurate enough (Micikevicius et al. 2018); on the CPU fp32 as ever."""
    return torch.autocast(device, torch.bfloat16, enabled=device != "cpu")


def moved(inputs: Tensor | tuple[Tensor, ...], device: str) -> Tensor | tuple[Tensor, ...]:
    """Images, or what was prepared in their place, on a device."""
    return inputs.to(device) if isinstance(inputs, Tensor) else tuple(part.to(device) for part in inputs)


class LossLog:
    """Mean of every named loss, a JSON line an epoch, so that box and class losses can be told apart afterwards.
    epochs: how many lines of an interrupted training to keep."""

    def __init__(self, path: Path, epochs: int):
        self.path = path
        self._lines = path.read_text().splitlines()[:epochs] if path.exists() else []
        self._sums: dict[str, float] = {}
        self._steps = 0

    def add(self, losses: dict[str, Tensor]) -> None:
        self._steps += 1
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value.detach())

    def close_epoch(self, epoch: int) -> None:
        means = {name: round(total / self._steps, 6) for name, total in self._sums.items()}
        self._lines.append(json.dumps({"epoch": epoch} | means))
        self._sums, self._steps = {}, 0
        with replacing(self.path) as partial:
            partial.write_text("\n".join(self._lines) + "\n")


def parameter_groups(
    detector: nn.Module,
    inherited: Sequence[nn.Module],
    rate: float,
    inherited_rate: float,
    rates: Mapping[str, float],
    decay: float = 0.02,
) -> list[dict[str, Any]]:
    """AdamW groups of what is trained, by learning rate (see `strategies.base.Fit`); weight decay only on weights of
    more than one dimension. What `rates` sets to 0 is frozen here."""
    old = {id(parameter) for module in inherited for parameter in module.parameters()}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in detector.named_parameters():
        if parameter.requires_grad:
            factor = (inherited_rate if id(parameter) in old else 1.0) * factor_of(name, rates)
            parameter.requires_grad_(factor > 0)
            groups.setdefault((factor, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": members, "lr": rate * factor, "weight_decay": decay if matrix else 0.0}
        for (factor, matrix), members in groups.items()
        if factor > 0
    ]


def factor_of(name: str, rates: Mapping[str, float]) -> float:
    """The factor under the longest key that a parameter's name begins with; 1 without one."""
    fitting = [start for start in rates if name == start or name.startswith(f"{start}.")]
    return rates[max(fitting, key=len)] if fitting else 1.0


def check_finite(total: Tensor, losses: dict[str, Tensor], name: str) -> None:
    """UserError as soon as a loss is no number: training on would only waste time."""
    if not torch.isfinite(total):
        bad = [key for key, value in losses.items() if not torch.isfinite(value)]
        raise UserError(
            f"the loss is no longer a number: {', '.join(bad)}",
            where=f"training {name}",
            fix="lower the rate",
        )
