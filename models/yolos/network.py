"""YOLOS (Fang et al. 2021, "You Only Look at One Sequence") as a chain of stages. Layers and heads are transformers'
`YolosForObjectDetection`, taken apart so that the chain can be cut after any layer. For training from scratch there is
a variant with a convolutional stem whose queries, as the detection tokens are called here, stand on a grid."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.detector import Detector, Raw, State
from models.errors import UserError
from models.patches import PATCH, PatchHead, centres
from models.set_loss import SetLoss, UnitBoxes, select

if TYPE_CHECKING:
    from transformers import YolosForObjectDetection


START = 0.3  # of the image: how large a box a query starts from


@dataclass(frozen=True)
class Size:
    """hidden: width of a token. heads: of the attention. inner: width inside the feed-forward part. layers: number."""

    hidden: int
    heads: int
    inner: int
    layers: int = 12


SIZES = {
    "nano": Size(128, 4, 256),
    "tiny": Size(192, 3, 768),
    "small": Size(384, 6, 1536),
    "base": Size(768, 12, 3072),
}


class Embed(nn.Module):
    """Images [N, 3, S, S] in [-1, 1] -> tokens [N, 1 + P + Q, hidden]: one for the whole, one a patch, one a query, in
    that order, positions added. seeded: a query starts from what the patches around its place on a square grid show."""

    def __init__(self, stem: nn.Module, whole: Tensor, queries: Tensor, positions: Tensor, seeded: bool):
        super().__init__()
        self.stem, self.seeded = stem, seeded
        self.whole, self.queries, self.positions = (nn.Parameter(part) for part in (whole, queries, positions))

    def forward(self, images: Tensor) -> Tensor:
        return self.tokens(self.stem(images))

    def tokens(self, grid: Tensor) -> Tensor:
        """The tokens of what the patches show, [N, hidden, S / 16, S / 16]."""
        count = grid.shape[0]  # which tracing keeps open, as it does not with len()
        queries = self.queries.expand(count, -1, -1)
        if self.seeded:
            side = math.isqrt(queries.shape[1])
            seeds = F.interpolate(grid, size=(side, side), mode="bilinear", align_corners=False)
            queries = queries + seeds.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.whole.expand(count, -1, -1), grid.flatten(2).transpose(1, 2), queries], dim=1)
        return tokens + self.positions


class Layer(nn.Module):
    """One of transformers' layers, and the positions that some sizes add after it."""

    def __init__(self, layer: nn.Module, positions: Tensor | None = None):
        super().__init__()
        self.layer = layer
        self.positions = None if positions is None else nn.Parameter(positions)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = self.layer(tokens)
        return tokens if self.positions is None else tokens + self.positions


class QueryHead(nn.Module):
    """Query tokens [N, Q, hidden] -> class logits [N, Q, 1 + C], background first, and boxes as centre and size in the
    unit square. reference: what the boxes start from, as logits [Q, 4]; zeros in the stock model. Queries that are
    there for training alone bring their own."""

    def __init__(self, norm: nn.Module, classes: nn.Module, boxes: nn.Module, reference: Tensor):
        super().__init__()
        self.norm, self.classes, self.boxes = norm, classes, boxes
        self.register_buffer("reference", reference)

    def forward(self, queries: Tensor, reference: Tensor | None = None) -> Raw:
        queries = self.norm(queries)
        reference = self.reference if reference is None else reference
        return self.classes(queries), (self.boxes(queries) + reference).sigmoid()


class YolosStage(nn.Module):
    """Layers, and the head that reads the query tokens after the last of them. embed: in the first stage, makes tokens
    of images. patches: what every patch is asked while training (`models.patches`). last: hands nothing on. keep: how
    many patches it hands on, those least sure to be background (token exit); all of them when None. temperature: the
    exit's logits are divided by it (Guo et al. 2017); 1 until fitted."""

    temperature: Tensor

    def __init__(
        self,
        embed: Embed | None,
        layers: list[Layer],
        head: QueryHead,
        patches: nn.Module,
        queries: int,
        last: bool,
        keep: int | None = None,
    ):
        super().__init__()
        self.embed, self.layers, self.head, self.patches = embed, nn.ModuleList(layers), head, patches
        self.queries, self.last, self.keep = queries, last, keep
        self.register_buffer("temperature", torch.ones(()))

    def depths(self, x: Tensor) -> Iterator[Tensor]:
        """The tokens after each layer. x: images in the first stage, tokens in the others."""
        tokens = x if self.embed is None else self.embed(x)
        for layer in self.layers:
            tokens = layer(tokens)
            yield tokens

    def read(self, tokens: Tensor) -> Raw:
        return self.answer(tokens[:, -self.queries :])

    def answer(self, queries: Tensor) -> Raw:
        """What the exit says, from the query tokens [N, Q, hidden] alone."""
        logits, boxes = self.head(queries)
        return logits / self.temperature, boxes

    def forward(self, x: Tensor) -> tuple[State, Raw]:
        *_, tokens = self.depths(x)
        return () if self.last else self.handed_on(tokens)[:1], self.read(tokens)

    def handed_on(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """The tokens for the next stage, and which of the patches are among them [N, keep]; None: all."""
        if self.keep is None:
            return tokens, None
        patches = tokens[:, 1 : -self.queries]
        logits, _ = self.patches(self.head.norm(patches))
        kept = logits.softmax(-1)[..., 0].topk(self.keep, largest=False).indices
        patches = patches.gather(1, kept[..., None].expand(-1, -1, patches.shape[-1]))
        return torch.cat([tokens[:, :1], patches, tokens[:, -self.queries :]], dim=1), kept

    def answer_layers(self) -> list[nn.Module]:
        """What must keep its output channels: all that writes into the tokens, classes, boxes and patches."""
        kept: list[nn.Module] = [self.head.classes.layers[-1], self.head.boxes.layers[-1], self.patches]
        for layer in self.layers:
            kept += [layer.layer.attention.output.dense, layer.layer.output.dense]
        if self.embed is not None:
            kept += [part for part in self.embed.stem.modules() if isinstance(part, nn.Conv2d)]
        return kept


def untrained(kind: str, outputs: int, queries: int, side: int) -> YolosForObjectDetection:
    """transformers' own, of a size in SIZES, for `side` px, with fresh weights."""
    from transformers import YolosConfig, YolosForObjectDetection  # takes seconds, which SSDLite need not wait

    size = SIZES[kind]
    return YolosForObjectDetection(
        YolosConfig(
            hidden_size=size.hidden,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            intermediate_size=size.inner,
            num_detection_tokens=queries,
            image_size=[side, side],
            patch_size=PATCH,
            num_labels=outputs - 1,
            use_mid_position_embeddings=False,
            layer_norm_eps=1e-6,
        )
    )


def scratch(classes: tuple[str, ...], size: int, kind: str = "nano", queries: int = 49) -> Detector:
    """A plain one-exit YOLOS to be trained from nothing: a convolutional stem (Xiao et al. 2021, "Early Convolutions
    Help Transformers See Better"), sine positions, and queries on a square grid, each of which starts from what the
    patches around it show and answers relative to its place."""
    check_size(size)
    made = untrained(kind, 1 + len(classes), queries, size)
    hidden, spots = made.config.hidden_size, centres(math.isqrt(queries))
    positions = torch.cat([torch.zeros(1, hidden), sines(centres(size // PATCH), hidden), sines(spots, hidden)])
    embed = Embed(
        conv_stem(hidden), torch.zeros(1, 1, hidden), torch.zeros(1, queries, hidden), positions[None], seeded=True
    )
    head = QueryHead(made.vit.layernorm, made.class_labels_classifier, made.bbox_predictor, references(queries))
    return assemble(embed, [Layer(layer) for layer in made.vit.encoder.layer], head, classes, size)


def references(queries: int) -> Tensor:
    """Boxes on a square grid, a third of the image large, as logits [Q, 4]: what queries answer relative to."""
    return torch.cat([centres(math.isqrt(queries)), torch.full((queries, 2), START)], dim=1).logit()


def assemble(embed: Embed, layers: list[Layer], head: QueryHead, classes: tuple[str, ...], size: int) -> Detector:
    hidden = embed.positions.shape[-1]
    patches = PatchHead(hidden, 1 + len(classes))
    stage = YolosStage(embed, layers, head, patches, embed.queries.shape[1], last=True)
    return Detector([stage], UnitBoxes(), select, SetLoss(), classes, size, family="yolos")


def conv_stem(hidden: int) -> nn.Sequential:
    """Images -> patches [N, hidden, S / 16, S / 16]: four 3x3 convolutions with stride 2, two without between them, and
    one that mixes. Without these two, AP50 on generated images was 0.11 where it is 0.24 (12,000 images seen)."""
    quarter, half = hidden // 4, hidden // 2
    steps = ((3, quarter, 2), (quarter, half, 2), (half, half, 1), (half, hidden, 2), (hidden, hidden, 1))
    layers: list[nn.Module] = []
    for before, after, stride in (*steps, (hidden, hidden, 2)):
        layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(hidden, hidden, 1))


def sines(at: Tensor, hidden: int) -> Tensor:
    """Sine and cosine positions of points [K, 2] in the unit square: [K, hidden] (Vaswani et al. 2017, in 2D)."""
    waves = math.pi * 2 ** torch.linspace(0, 5, hidden // 4)
    angles = at[:, :, None] * waves
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)


def multi_exit(detector: Detector, after: tuple[int, ...], keep: tuple[float, ...] = ()) -> Detector:
    """A copy of a one-exit YOLOS with exits after the given layers, increasing and before the last one. Each starts
    with a copy of the last exit's head, and the last exit still answers as before.

    keep: the share of all patches that each of these exits hands on (see `YolosStage`), never increasing; the later
    exits then answer otherwise. ValueError for positions and shares that cannot be."""
    (whole,) = stages_of(detector.clone())
    check_keep(keep, after, whole)
    depth = len(whole.layers)
    if not after or list(after) != sorted(set(after)) or after[0] < 1 or after[-1] >= depth:
        raise ValueError(f"exits must follow increasing layers within 1..{depth - 1}, not {after}")
    stages = []
    for start, end in zip((0, *after), (*after, depth), strict=True):
        last = end == depth
        part = copy.deepcopy(whole) if not last else whole
        count = None if last or not keep else max(1, round(keep[after.index(end)] * (detector.size // PATCH) ** 2))
        embed, layers = None if start else part.embed, list(part.layers[start:end])
        stage = YolosStage(embed, layers, part.head, part.patches, part.queries, last, count)
        stage.temperature.copy_(whole.temperature)
        stages.append(stage)
    stages[-1].embed = None
    return detector.with_stages(stages)


def shallower(detector: Detector, after: int) -> tuple[Detector, tuple[nn.Module, ...]]:
    """A one-exit YOLOS that ends after a layer, with a copy of the head, and its modules, all of which it has from the
    whole one. ValueError for a layer that there is not."""
    made = alone(multi_exit(detector, (after,)), 0)
    return made, tuple(made.modules())


def alone(detector: Detector, exit: int) -> Detector:
    """The plain shallower network that stops at one exit of a chain, sharing its weights: no other head is computed and
    no patch dropped on the way."""
    stages = stages_of(detector)[: exit + 1]
    layers, last = [layer for stage in stages for layer in stage.layers], stages[-1]
    whole = YolosStage(stages[0].embed, layers, last.head, last.patches, last.queries, last=True)
    whole.temperature = last.temperature
    return detector.with_stages([whole])


def check_keep(keep: tuple[float, ...], after: tuple[int, ...], stage: YolosStage) -> None:
    """ValueError unless there is a share in (0, 1] for every exit, never increasing, or none at all."""
    if not keep:
        return
    if len(keep) != len(after) or list(keep) != sorted(keep, reverse=True) or not 0 < keep[-1] <= keep[0] <= 1:
        raise ValueError(f"patches kept must be shares of all, one for each of {len(after)} exits, not {keep}")
    if any(layer.positions is not None for layer in stage.layers):
        raise ValueError("this YOLOS adds positions between its layers: its patches have to stay")


def resized(detector: Detector, size: int) -> Detector:
    """A copy for square inputs of another size: positions of patches are interpolated (bicubic, as YOLOS does)."""
    check_size(size)
    found = detector.clone()
    for stage in stages_of(found):
        for part in (stage.embed, *stage.layers):
            if part is not None and part.positions is not None:
                spread = interpolated(part.positions.detach(), stage.queries, size // PATCH)
                part.positions = nn.Parameter(spread)
    found.size = size
    return found


def interpolated(positions: Tensor, queries: int, side: int, before: tuple[int, int] | None = None) -> Tensor:
    """Positions [1, 1 + P + Q, hidden] for a square of `side` patches. before: rows and columns of the patches they are
    for; a square when it is not said."""
    patches = positions[:, 1:-queries]
    rows, columns = before or (math.isqrt(patches.shape[1]),) * 2
    grid = patches.transpose(1, 2).unflatten(2, (rows, columns))
    grid = F.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2), positions[:, -queries:]], dim=1)


def check_size(size: int) -> None:
    """UserError unless patches fill a square of this side."""
    if size % PATCH:
        raise UserError(f"{size} px is not a whole number of patches", where="size", fix=f"use a multiple of {PATCH}")


def attention_heads(detector: Detector) -> dict[nn.Linear, int]:
    """The projections to queries, keys and values of every layer, with their numbers of heads."""
    return {
        projection: attention.num_attention_heads
        for attention in attentions(detector)
        for projection in (attention.query, attention.key, attention.value)
    }


def recount_heads(detector: Detector) -> None:
    """Set every layer's number of heads by what its projections have left."""
    for attention in attentions(detector):
        attention.all_head_size = attention.query.out_features
        attention.num_attention_heads = attention.all_head_size // attention.attention_head_size


def stages_of(detector: Detector) -> Sequence[YolosStage]:
    """The stages of a chain of layers as what they are."""
    return cast("Sequence[YolosStage]", detector.stages)


def attentions(detector: Detector) -> list[nn.Module]:
    """The attention of every layer, in order, however deep its stage lies in another."""
    return [layer.layer.attention.attention for layer in detector.modules() if isinstance(layer, Layer)]


def layer_rates(detector: Detector, decay: float, share: float = 1.0) -> dict[str, float]:
    """Factors of a learning rate by the beginning of parameter names: 1 for the last layer, `decay` times as much for
    each one before it and for the embedding; 0 for all but the highest `share` of the layers. Where every stage has an
    embedding of its own, as in a chain of resolutions, each is counted for itself."""
    trunks: list[list[str]] = []
    for name, stage in detector.named_modules():
        if isinstance(stage, YolosStage):
            trunks += [] if stage.embed is None else [[f"{name}.embed"]]
            trunks[-1] += [f"{name}.layers.{k}" for k in range(len(stage.layers))]
    return {
        name: decay**above if above < round(share * len(names)) else 0.0
        for names in trunks
        for above, name in enumerate(reversed(names))
    }


def trunk_rates(detector: Detector, rate: float, decay: float) -> dict[str, float]:
    """`layer_rates` times `rate`, for a trunk that was trained before; queries, which are new to it, learn at 1."""
    rates = {name: rate * factor for name, factor in layer_rates(detector, decay).items()}
    return rates | {f"{name}.queries": 1.0 for name in rates if name.endswith(".embed")}
