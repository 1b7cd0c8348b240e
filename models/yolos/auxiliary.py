"""What a YOLOS is asked in training: its exits, layers on the way to them, its patches, and queries that are there for
training alone. These see the image and their own kind, while nothing else sees them: more copies of all queries, each
set matched for itself (Group DETR, Chen et al. 2023), and queries put down beside every object that have to find back
to it (denoising queries, Li et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.detector import Detector, Raw, Targets
from models.errors import UserError, unknown
from models.matching import IGNORED
from models.patches import PATCH, PatchBoxes, PatchLoss, centres
from models.set_loss import hungarian
from models.yolos.network import START, Embed, Layer, YolosStage, stages_of

BESIDE = 0.25  # of a box's sides: how far from its centre a denoising query may be put


@dataclass(frozen=True)
class AuxiliaryLosses:
    """every: the head is read after every so many layers on the way to an exit too, as DETR's auxiliary losses do; 0:
    at exits alone. patches: whether every patch is asked for the object it lies in, wherever the head is read
    (`models.patches`). groups: more copies of all queries, somewhat displaced. denoise: queries beside each object."""

    every: int = 3
    patches: bool = True
    groups: int = 0
    denoise: int = 0

    def __call__(self, detector: Detector, images: Tensor, targets: Targets) -> tuple[list[Raw], dict[str, Tensor]]:
        """What every exit says of images [N, 3, size, size], and the losses: of every exit ("exit1/class", "exit1/l1",
        "exit1/giou"), of layers before it ("exit1/back1/class", ...), and at each of these of patches
        ("exit1/patches-giou", ...) and queries for training alone ("exit1/groups-class", "exit1/denoise-class", ...).
        """
        boxes = PatchLoss(PatchBoxes(detector.size // PATCH).to(images.device))
        embed = stages_of(detector)[0].embed
        grid = embed.stem(images)
        tokens, beside, at = embed.tokens(grid), self.beside(embed, grid, targets), None
        answers: list[Raw] = []
        losses: dict[str, Tensor] = {}
        for number, stage in enumerate(stages_of(detector), start=1):
            passed = list(depths(stage, tokens, beside))
            last = len(passed)
            read = [depth for depth in range(1, last) if self.every and depth % self.every == 0]
            for back, depth in enumerate((last, *reversed(read))):
                name = f"exit{number}" + (f"/back{back}" if back else "")
                seen, company = passed[depth - 1]
                answer = stage.read(seen)
                answers += [] if back else [answer]
                losses |= named(f"{name}/", detector.loss([answer], targets)[0])
                if self.patches:
                    raw = stage.patches(stage.head.norm(seen[:, 1 : -stage.queries]))
                    losses |= named(f"{name}/patches-", boxes(raw, targets, at))
                for one in company:
                    raw = stage.head(one.tokens, one.reference)
                    losses |= named(f"{name}/{one.name}-", detector.loss.one(raw, one.owners(raw, targets), targets))
            tokens, beside = passed[-1]
            tokens, kept = stage.handed_on(tokens)
            if kept is not None:
                at = kept if at is None else at.gather(1, kept)
        return answers, losses

    def beside(self, embed: Embed, grid: Tensor, targets: Targets) -> tuple[Extra, ...]:
        """The queries for training alone, as they enter the first layer."""
        found = []
        if self.groups:
            side = math.isqrt(embed.queries.shape[1])
            shifts = (torch.rand(len(grid), self.groups, 1, 2, device=grid.device) - 0.5) / side
            spots = (centres(side).to(grid.device) + shifts).flatten(1, 2)
            found.append(extra("groups", embed, grid, spots, self.groups))
        if self.denoise and targets.labels.shape[1]:
            spots, owner = spots_beside(targets, self.denoise)
            found.append(extra("denoise", embed, grid, spots, self.denoise, owner))
        return tuple(found)


@dataclass(frozen=True)
class Extra:
    """Queries for training alone. tokens: [N, E, hidden]. reference: what their boxes start from, as logits [N, E, 4].
    sets: of how many sets they consist that do not see one another. owner: whose they are, int64 [N, E]; None: every
    set is matched for itself."""

    name: str
    tokens: Tensor
    reference: Tensor
    sets: int
    owner: Tensor | None = None

    def owners(self, raw: Raw, targets: Targets) -> Tensor:
        if self.owner is not None:
            return self.owner
        parts = zip(*(part.chunk(self.sets, dim=1) for part in raw), strict=True)
        return torch.cat([hungarian(part, targets) for part in parts], dim=1)


def extra(name: str, embed: Embed, grid: Tensor, spots: Tensor, sets: int, owner: Tensor | None = None) -> Extra:
    """Queries at `spots` [N, E, 2] of the unit square, of an image whose patches show `grid`."""
    reference = torch.cat([spots.clamp(0.001, 0.999), torch.full_like(spots, START)], dim=-1).logit()
    return Extra(name, tokens_at(embed, grid, spots), reference, sets, owner)


def tokens_at(embed: Embed, grid: Tensor, spots: Tensor) -> Tensor:
    """What queries would be like at other places than their own: [N, E, hidden], between those that stand around."""
    count = embed.queries.shape[1]
    own = (embed.queries + embed.positions[:, -count:]).transpose(1, 2).unflatten(2, (math.isqrt(count),) * 2)
    at = (2 * spots - 1)[:, None]
    tokens = F.grid_sample(own.expand(len(spots), -1, -1, -1), at, align_corners=False, padding_mode="border")
    if embed.seeded:
        tokens = tokens + F.grid_sample(grid, at, align_corners=False, padding_mode="border")
    return tokens[:, :, 0].transpose(1, 2)


def spots_beside(targets: Targets, times: int) -> tuple[Tensor, Tensor]:
    """`times` places near each box's centre, set by set: [N, times * M, 2], and whose each is, IGNORED (-2) where there
    is no box: int64 [N, times * M]."""
    boxes = targets.boxes.repeat(1, times, 1)
    centre, sides = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    spots = centre + (2 * torch.rand_like(centre) - 1) * BESIDE * sides
    real = (targets.labels > 0) & ~targets.crowd
    column = torch.arange(real.shape[1], device=real.device).expand_as(real).where(real, IGNORED)
    return spots, column.repeat(1, times)


def named(before: str, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    return {before + part: value for part, value in losses.items()}


def depths(stage: YolosStage, tokens: Tensor, beside: tuple[Extra, ...]) -> Iterator[tuple[Tensor, tuple[Extra, ...]]]:
    """The tokens after each layer, and the queries for training alone; nothing changes for the former."""
    seen = allowed(tokens.shape[1], stage.queries, beside).to(tokens.device) if beside else None
    sizes = [tokens.shape[1], *(one.tokens.shape[1] for one in beside)]
    for layer in stage.layers:
        if seen is None:
            tokens = layer(tokens)
        else:
            every = masked(layer, torch.cat([tokens, *(one.tokens for one in beside)], dim=1), seen)
            tokens, *parts = every.split(sizes, dim=1)
            beside = tuple(replace(one, tokens=part) for one, part in zip(beside, parts, strict=True))
        yield tokens, beside


def allowed(tokens: int, queries: int, beside: tuple[Extra, ...]) -> Tensor:
    """Who may look at whom, bool [K, K] of all K tokens: queries for training alone at what is no query, and at their
    own set; the others at themselves."""
    sizes = [one.tokens.shape[1] // one.sets for one in beside for _ in range(one.sets)]
    extras = torch.block_diag(*(torch.ones(size, size) for size in sizes)).bool()
    seen = torch.zeros(tokens + len(extras), tokens + len(extras), dtype=torch.bool)
    seen[:tokens, :tokens] = True
    seen[tokens:, : tokens - queries] = True
    seen[tokens:, tokens:] = extras
    return seen


def masked(layer: Layer, tokens: Tensor, seen: Tensor) -> Tensor:
    """One of transformers' layers, which take no mask, where only `seen` is looked at."""
    inner = layer.layer
    attention: nn.Module = inner.attention.attention
    normed, shape = inner.layernorm_before(tokens), (attention.num_attention_heads, -1)
    query, key, value = (
        part(normed).unflatten(-1, shape).transpose(1, 2) for part in (attention.query, attention.key, attention.value)
    )
    context = F.scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=attention.scaling)
    tokens = tokens + inner.attention.output(context.transpose(1, 2).flatten(2), tokens)
    return inner.output(inner.intermediate(inner.layernorm_after(tokens)), tokens)


def chosen(detector: Detector, options: Mapping[str, Any]) -> AuxiliaryLosses:
    """Auxiliary losses with these options. UserError for one that there is not or that cannot be, and where queries
    for training alone are asked of a YOLOS whose own stand nowhere."""
    usual, where = asdict(AuxiliaryLosses()), "strategy.baseline.auxiliary_losses"
    for name, value in options.items():
        if name not in usual:
            raise unknown("auxiliary loss", name, usual, where=where)
        if type(value) is not type(usual[name]) or value < 0:
            kind = "true or false" if isinstance(usual[name], bool) else "a number from 0 on"
            raise UserError(f"{value!r} is no value", where=f"{where}.{name}", fix=f"give {kind}")
    made, stage = AuxiliaryLosses(**options), stages_of(detector)[0]
    nowhere = not stage.embed.seeded or any(layer.positions is not None for layer in stage.layers)
    if (made.groups or made.denoise) and nowhere:
        fix = "leave out groups and denoise; they are for YOLOS from scratch or around a trunk"
        raise UserError("the queries of these weights stand nowhere", where=where, fix=fix)
    return made
