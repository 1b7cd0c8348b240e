"""The auxiliary losses of YOLOS: of exits, of layers before them, of patches, and of queries for training alone.

Queries for training alone read the image and their own set, while nothing else reads them. They are more copies of all
queries, each set matched for itself (Group DETR, Chen et al. 2023), and queries put down beside every object that have
to find back to it (denoising queries, Li et al. 2022).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from models.detector import Detector, Raw, Targets
from models.errors import UserError, unknown
from models.matching import IGNORED
from models.patches import PATCH, PatchBoxes, PatchLoss, centres
from models.set_loss import SetLoss, hungarian
from models.yolos.network import START, Embed, Layer, YolosStage, embed_of, stages_of

BESIDE = 0.25  # of a box's sides: how far from its centre a denoising query may be put


@dataclass(frozen=True)
class AuxiliaryLosses:
    """What a YOLOS learns from in training, its exits' losses among it.

    Args:
        every: the head is also read after every so many layers before an exit, as DETR's auxiliary losses do; 0: at
            exits alone.
        patches: whether every patch learns to say in which object it lies, wherever the head is read
            (`models.patches`).
        groups: more copies of all queries, somewhat displaced.
        denoise: queries beside each object.
    """

    every: int = 3
    patches: bool = True
    groups: int = 0
    denoise: int = 0

    def __call__(self, detector: Detector, images: Tensor, targets: Targets) -> tuple[list[Raw], dict[str, Tensor]]:
        """The answers and the losses of a batch.

        Args:
            detector: a YOLOS, in training mode.
            images: [N, 3, size, size], as the detector takes them.
            targets: of these images.

        Returns:
            The raw answer of every exit, and scalar losses by name: of every exit ("exit1/class", "exit1/l1",
            "exit1/giou"), of layers before it ("exit1/back1/class", ...), and at each of these of patches
            ("exit1/patches-giou", ...) and of queries for training alone ("exit1/groups-class", "exit1/denoise-class",
            ...).
        """
        loss = cast("SetLoss", detector.loss)
        boxes = PatchLoss(PatchBoxes(detector.size // PATCH).to(images.device))
        embed = embed_of(detector)
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
                after, company = passed[depth - 1]
                answer = stage.read(after)
                answers += [] if back else [answer]
                losses |= named(f"{name}/", loss([answer], targets)[0])
                if self.patches:
                    raw = stage.patches(stage.head.norm(after[:, 1 : -stage.queries]))
                    losses |= named(f"{name}/patches-", boxes(raw, targets, at))
                for one in company:
                    raw = stage.head(one.tokens, one.reference)
                    losses |= named(f"{name}/{one.name}-", loss.one(raw, one.owners(raw, targets), targets))
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
    """Queries for training alone.

    Args:
        name: of their losses.
        tokens: [N, E, hidden].
        reference: what their boxes start from, as logits [N, E, 4].
        sets: how many sets they consist of that do not attend to one another.
        owner: the object of each, int64 [N, E]; None: every set is matched for itself.
    """

    name: str
    tokens: Tensor
    reference: Tensor
    sets: int
    owner: Tensor | None = None

    def owners(self, raw: Raw, targets: Targets) -> Tensor:
        """The object of each of these queries, int64 [N, E], as `models.matching` numbers them."""
        if self.owner is not None:
            return self.owner
        parts = zip(*(part.chunk(self.sets, dim=1) for part in raw), strict=True)
        return torch.cat([hungarian(part, targets) for part in parts], dim=1)


def extra(name: str, embed: Embed, grid: Tensor, spots: Tensor, sets: int, owner: Tensor | None = None) -> Extra:
    """Queries at some places, which start from what the patches there show.

    Args:
        name: of their losses.
        embed: of the detector.
        grid: the patches of the images [N, hidden, S / 16, S / 16].
        spots: the places [N, E, 2] in the unit square.
        sets: as `Extra`.
        owner: as `Extra`.
    """
    reference = torch.cat([spots.clamp(0.001, 0.999), torch.full_like(spots, START)], dim=-1).logit()
    return Extra(name, tokens_at(embed, grid, spots), reference, sets, owner)


def tokens_at(embed: Embed, grid: Tensor, spots: Tensor) -> Tensor:
    """The tokens [N, E, hidden] of queries at other places than their own, interpolated between those around."""
    count = embed.queries.shape[1]
    own = (embed.queries + embed.positions[:, -count:]).transpose(1, 2).unflatten(2, (math.isqrt(count),) * 2)
    at = (2 * spots - 1)[:, None]
    tokens = F.grid_sample(own.expand(len(spots), -1, -1, -1), at, align_corners=False, padding_mode="border")
    if embed.seeded:
        tokens = tokens + F.grid_sample(grid, at, align_corners=False, padding_mode="border")
    return tokens[:, :, 0].transpose(1, 2)


def spots_beside(targets: Targets, times: int) -> tuple[Tensor, Tensor]:
    """Places near each box's centre, set by set.

    Args:
        targets: the boxes.
        times: how many places per box, and how many sets.

    Returns:
        The places [N, times * M, 2], and the object of each, int64 [N, times * M], IGNORED (-2) where there is no box.
    """
    boxes = targets.boxes.repeat(1, times, 1)
    centre, sides = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    spots = centre + (2 * torch.rand_like(centre) - 1) * BESIDE * sides
    real = (targets.labels > 0) & ~targets.crowd
    column = torch.arange(real.shape[1], device=real.device).expand_as(real).where(real, IGNORED)
    return spots, column.repeat(1, times)


def named(before: str, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same losses with something before their names."""
    return {before + part: value for part, value in losses.items()}


def depths(stage: YolosStage, tokens: Tensor, beside: tuple[Extra, ...]) -> Iterator[tuple[Tensor, tuple[Extra, ...]]]:
    """Yield the tokens after each layer, and the queries for training alone; nothing changes for the former."""
    mask = allowed(tokens.shape[1], stage.queries, beside).to(tokens.device) if beside else None
    sizes = [tokens.shape[1], *(one.tokens.shape[1] for one in beside)]
    for layer in stage.layers:
        if mask is None:
            tokens = layer(tokens)
        else:
            every = masked(layer, torch.cat([tokens, *(one.tokens for one in beside)], dim=1), mask)
            tokens, *parts = every.split(sizes, dim=1)
            beside = tuple(replace(one, tokens=part) for one, part in zip(beside, parts, strict=True))
        yield tokens, beside


def allowed(tokens: int, queries: int, beside: tuple[Extra, ...]) -> Tensor:
    """Which token may attend to which.

    Queries for training alone attend to all that is no query and to their own set; the others attend to themselves.

    Args:
        tokens: how many there are without queries for training alone.
        queries: how many of these, at the end, are queries.
        beside: queries for training alone.

    Returns:
        bool [K, K] of all K tokens.
    """
    sizes = [one.tokens.shape[1] // one.sets for one in beside for _ in range(one.sets)]
    extras = torch.block_diag(*(torch.ones(size, size) for size in sizes)).bool()
    mask = torch.zeros(tokens + len(extras), tokens + len(extras), dtype=torch.bool)
    mask[:tokens, :tokens] = True
    mask[tokens:, : tokens - queries] = True
    mask[tokens:, tokens:] = extras
    return mask


def masked(layer: Layer, tokens: Tensor, mask: Tensor) -> Tensor:
    """One of transformers' layers, which take no mask, with attention restricted to a mask.

    Args:
        layer: one of the detector's.
        tokens: [N, K, hidden].
        mask: bool [K, K], which token may attend to which.
    """
    inner = layer.layer
    attention = inner.attention.attention
    normed, shape = inner.layernorm_before(tokens), (attention.num_attention_heads, -1)
    query, key, value = (
        part(normed).unflatten(-1, shape).transpose(1, 2) for part in (attention.query, attention.key, attention.value)
    )
    context = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=attention.scaling)
    tokens = tokens + inner.attention.output(context.transpose(1, 2).flatten(2), tokens)
    return inner.output(inner.intermediate(inner.layernorm_after(tokens)), tokens)


def chosen(detector: Detector, options: Mapping[str, Any]) -> AuxiliaryLosses:
    """Auxiliary losses with these options.

    Args:
        detector: that is to learn from them.
        options: field of `AuxiliaryLosses` -> value.

    Raises:
        UserError: for an option that there is not or that cannot be, and for queries for training alone with a YOLOS
            whose own queries stand nowhere.
    """
    usual, where = asdict(AuxiliaryLosses()), "strategy.baseline.auxiliary_losses"
    for name, value in options.items():
        if name not in usual:
            raise unknown("auxiliary loss", name, usual, where=where)
        if type(value) is not type(usual[name]) or value < 0:
            kind = "true or false" if isinstance(usual[name], bool) else "a number from 0 on"
            raise UserError(f"{value!r} is no value", where=f"{where}.{name}", fix=f"give {kind}")
    made, stage = AuxiliaryLosses(**options), stages_of(detector)[0]
    nowhere = not embed_of(detector).seeded or any(layer.positions is not None for layer in stage.layers)
    if (made.groups or made.denoise) and nowhere:
        fix = "leave out groups and denoise; they are for YOLOS from scratch or around a trunk"
        raise UserError("the queries of these weights stand nowhere", where=where, fix=fix)
    return made
