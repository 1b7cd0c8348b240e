"""YOLOS (Fang et al. 2021, "You Only Look at One Sequence") as a chain of stages.

Layers and heads are transformers' `YolosForObjectDetection`, taken apart so that the chain can be cut after any layer.
For training from scratch there is a variant with a convolutional stem whose queries, as the detection tokens are called
here, stand on a grid.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.detector import Detector, Raw, State, module_list
from models.errors import UserError
from models.patches import PATCH, PatchHead, centres
from models.set_loss import SetLoss, UnitBoxes, select

if TYPE_CHECKING:
    from transformers import YolosForObjectDetection
    from transformers.models.yolos.modeling_yolos import YolosLayer, YolosMLPPredictionHead, YolosSelfAttention


START = 0.3  # of the image: how large a box a query starts from


@dataclass(frozen=True)
class Size:
    """Dimensions of a vision transformer.

    Args:
        hidden: width of a token.
        heads: of the attention.
        inner: width inside the feed-forward part.
        layers: how many.
    """

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
    """Makes tokens of images: one for the whole, one per patch, one per query, in that order, positions added.

    Args:
        stem: images [N, 3, S, S] in [-1, 1] -> patches [N, hidden, S / 16, S / 16].
        whole: the token of the whole image [1, 1, hidden].
        queries: [1, Q, hidden].
        positions: [1, 1 + P + Q, hidden].
        seeded: whether a query starts from what the patches around its place on a square grid show.
    """

    def __init__(self, stem: nn.Module, whole: Tensor, queries: Tensor, positions: Tensor, seeded: bool):
        super().__init__()
        self.stem, self.seeded = stem, seeded
        self.whole, self.queries, self.positions = (nn.Parameter(part) for part in (whole, queries, positions))

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, 3, S, S] in [-1, 1] -> tokens [N, 1 + P + Q, hidden]."""
        return self.tokens(self.stem(images))

    def tokens(self, grid: Tensor) -> Tensor:
        """The tokens [N, 1 + P + Q, hidden] of a stem's patches [N, hidden, S / 16, S / 16]."""
        count = grid.shape[0]  # which tracing keeps open, as it does not with len()
        queries = self.queries.expand(count, -1, -1)
        if self.seeded:
            side = math.isqrt(queries.shape[1])
            seeds = F.interpolate(grid, size=(side, side), mode="bilinear", align_corners=False)
            queries = queries + seeds.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.whole.expand(count, -1, -1), grid.flatten(2).transpose(1, 2), queries], dim=1)
        return tokens + self.positions


class Layer(nn.Module):
    """One of transformers' layers, and the positions that some sizes add after it.

    Args:
        layer: transformers' own.
        positions: [1, 1 + P + Q, hidden]; None: none are added.
    """

    layer: YolosLayer
    positions: nn.Parameter | None

    def __init__(self, layer: YolosLayer, positions: Tensor | None = None):
        super().__init__()
        self.layer = layer
        self.positions = None if positions is None else nn.Parameter(positions)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [N, K, hidden] -> tokens [N, K, hidden]."""
        tokens = self.layer(tokens)
        return tokens if self.positions is None else tokens + self.positions


class QueryHead(nn.Module):
    """Answers from query tokens.

    Args:
        norm: of the tokens.
        classes: hidden -> 1 + C, background first.
        boxes: hidden -> 4.
        reference: what the boxes start from, as logits [Q, 4]; zeros in the stock model.
    """

    reference: Tensor

    def __init__(
        self, norm: nn.Module, classes: YolosMLPPredictionHead, boxes: YolosMLPPredictionHead, reference: Tensor
    ):
        super().__init__()
        self.norm, self.classes, self.boxes = norm, classes, boxes
        self.register_buffer("reference", reference)

    def forward(self, queries: Tensor, reference: Tensor | None = None) -> Raw:
        """Class logits and boxes of queries.

        Args:
            queries: tokens [N, Q, hidden].
            reference: what the boxes start from, as logits, of queries for training alone; None: the head's own.

        Returns:
            Class logits [N, Q, 1 + C], and boxes [N, Q, 4] as centre and size in the unit square.
        """
        queries = self.norm(queries)
        reference = self.reference if reference is None else reference
        return self.classes(queries), (self.boxes(queries) + reference).sigmoid()


class YolosStage(nn.Module):
    """Layers, and the head that reads the query tokens after the last of them.

    Args:
        embed: in the first stage, makes tokens of images; None in the others.
        layers: of the transformer.
        head: of the queries.
        patches: answers for every patch (`models.patches`): an auxiliary loss in training, and what decides
            which patches are handed on.
        queries: how many of the tokens, at the end, are queries.
        last: whether nothing is handed on.
        keep: how many patches are handed on, those least sure to be background (token exit); None: all of them.
    """

    embed: Embed | None
    layers: Sequence[Layer]
    temperature: Tensor

    def __init__(
        self,
        embed: Embed | None,
        layers: list[Layer],
        head: QueryHead,
        patches: PatchHead,
        queries: int,
        last: bool,
        keep: int | None = None,
    ):
        super().__init__()
        self.embed, self.layers, self.head, self.patches = embed, module_list(layers), head, patches
        self.queries, self.last, self.keep = queries, last, keep
        self.register_buffer("temperature", torch.ones(()))

    def depths(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the tokens after each layer.

        Args:
            x: images in the first stage, tokens in the others.
        """
        tokens = x if self.embed is None else self.embed(x)
        for layer in self.layers:
            tokens = layer(tokens)
            yield tokens

    def read(self, tokens: Tensor) -> Raw:
        """The exit's answer from all tokens [N, K, hidden] behind the last layer."""
        return self.answer(tokens[:, -self.queries :])

    def answer(self, queries: Tensor) -> Raw:
        """The exit's answer from the query tokens [N, Q, hidden] alone."""
        logits, boxes = self.head(queries)
        return logits / self.temperature, boxes

    def forward(self, x: Tensor) -> tuple[State, Raw]:
        """The state for the next stage and the exit's answer, from images or, in later stages, tokens."""
        *_, tokens = self.depths(x)
        return () if self.last else self.handed_on(tokens)[:1], self.read(tokens)

    def handed_on(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """The tokens for the next stage, and which of the patches are among them.

        Returns:
            Tokens [N, 1 + keep + Q, hidden], and indices int64 [N, keep] into the patches there were; None when all are
            kept.
        """
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
    """The model as transformers builds it, with fresh weights.

    Args:
        kind: a key of SIZES.
        outputs: classes with background.
        queries: how many.
        side: of the square input, in px.
    """
    from transformers import YolosConfig, YolosForObjectDetection  # takes seconds, which SSDLite need not wait

    size = SIZES[kind]
    return YolosForObjectDetection(
        YolosConfig(  # type: ignore[call-arg] # num_labels is one of PreTrainedConfig's options
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


def encoder_layers(made: YolosForObjectDetection) -> list[YolosLayer]:
    """The layers of transformers' model, typed as such."""
    return cast("list[YolosLayer]", list(made.vit.encoder.layer))


def scratch(classes: tuple[str, ...], size: int, kind: str = "nano", queries: int = 49) -> Detector:
    """A plain one-exit YOLOS to be trained from nothing.

    It has a convolutional stem (Xiao et al. 2021, "Early Convolutions Help Transformers See Better"), sine positions,
    and queries on a square grid, each of which starts from what the patches around it show and answers relative to its
    place.

    Args:
        classes: what it is to find.
        size: side of the square input, a multiple of PATCH px.
        kind: a key of SIZES.
        queries: how many, a square number.

    Raises:
        UserError: for a side that patches do not fill.
    """
    check_size(size)
    made = untrained(kind, 1 + len(classes), queries, size)
    hidden, spots = made.config.hidden_size, centres(math.isqrt(queries))
    positions = torch.cat([torch.zeros(1, hidden), sines(centres(size // PATCH), hidden), sines(spots, hidden)])
    embed = Embed(
        conv_stem(hidden), torch.zeros(1, 1, hidden), torch.zeros(1, queries, hidden), positions[None], seeded=True
    )
    head = QueryHead(made.vit.layernorm, made.class_labels_classifier, made.bbox_predictor, references(queries))
    return assemble(embed, [Layer(layer) for layer in encoder_layers(made)], head, classes, size)


def references(queries: int) -> Tensor:
    """Boxes on a square grid, a third of the image large, as logits [Q, 4]: what queries answer relative to."""
    return torch.cat([centres(math.isqrt(queries)), torch.full((queries, 2), START)], dim=1).logit()


def assemble(embed: Embed, layers: list[Layer], head: QueryHead, classes: tuple[str, ...], size: int) -> Detector:
    """A one-stage Detector of an embedding, layers and a head.

    Args:
        embed: makes the tokens.
        layers: all of them.
        head: of the queries.
        classes: names of its outputs, without background.
        size: side of the square input, in px.
    """
    hidden = embed.positions.shape[-1]
    patches = PatchHead(hidden, 1 + len(classes))
    stage = YolosStage(embed, layers, head, patches, embed.queries.shape[1], last=True)
    return Detector([stage], UnitBoxes(), select, SetLoss(), classes, size, family="yolos")


def conv_stem(hidden: int) -> nn.Sequential:
    """A convolutional stem: images [N, 3, S, S] -> patches [N, hidden, S / 16, S / 16].

    Four 3x3 convolutions with stride 2, two without between them, and one that mixes. Without these two, AP50 on
    generated images was 0.11 where it is 0.24 (after 12,000 training images).
    """
    quarter, half = hidden // 4, hidden // 2
    steps = ((3, quarter, 2), (quarter, half, 2), (half, half, 1), (half, hidden, 2), (hidden, hidden, 1))
    layers: list[nn.Module] = []
    for before, after, stride in (*steps, (hidden, hidden, 2)):
        layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(hidden, hidden, 1))


def sines(at: Tensor, hidden: int) -> Tensor:
    """Sine and cosine positions of points in the plane (Vaswani et al. 2017, in 2D).

    Args:
        at: [K, 2] in the unit square.
        hidden: width, a multiple of 4.

    Returns:
        [K, hidden].
    """
    waves = math.pi * 2 ** torch.linspace(0, 5, hidden // 4)
    angles = at[:, :, None] * waves
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)


def multi_exit(detector: Detector, after: tuple[int, ...], keep: tuple[float, ...] = ()) -> Detector:
    """A copy of a one-exit YOLOS with exits after some layers.

    Each starts with a copy of the last exit's head, and the last exit still answers as before.

    Args:
        detector: one-exit.
        after: layers, counted from 1, increasing and before the last one.
        keep: the share of all patches that each of these exits hands on, in (0, 1], never increasing (`YolosStage`);
            the later exits then answer otherwise than before. Empty: all.

    Raises:
        ValueError: for positions and shares that cannot be.
    """
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
    """A one-exit YOLOS that ends after a layer, with a copy of the head, and its modules.

    All these modules are pretrained: they come from the whole detector.

    Raises:
        ValueError: for a layer that there is not.
    """
    made = alone(multi_exit(detector, (after,)), 0)
    return made, tuple(made.modules())


def alone(detector: Detector, exit: int) -> Detector:
    """The plain shallower network that stops at one exit of a chain, sharing its weights.

    No other head is computed and no patch dropped on the way.

    Args:
        detector: a chain of `multi_exit`.
        exit: index of an exit.
    """
    stages = stages_of(detector)[: exit + 1]
    layers, last = [layer for stage in stages for layer in stage.layers], stages[-1]
    whole = YolosStage(stages[0].embed, layers, last.head, last.patches, last.queries, last=True)
    whole.temperature = last.temperature
    return detector.with_stages([whole])


def check_keep(keep: tuple[float, ...], after: tuple[int, ...], stage: YolosStage) -> None:
    """Raise ValueError unless there is a share in (0, 1] for every exit, never increasing, or none at all."""
    if not keep:
        return
    if len(keep) != len(after) or list(keep) != sorted(keep, reverse=True) or not 0 < keep[-1] <= keep[0] <= 1:
        raise ValueError(f"patches kept must be shares of all, one for each of {len(after)} exits, not {keep}")
    if any(layer.positions is not None for layer in stage.layers):
        raise ValueError("this YOLOS adds positions between its layers: its patches have to stay")


def resized(detector: Detector, size: int) -> Detector:
    """A copy for square inputs of another size: positions of patches are interpolated (bicubic, as YOLOS does).

    Raises:
        UserError: for a side that patches do not fill.
    """
    check_size(size)
    found = detector.clone()
    for stage in stages_of(found):
        parts: list[Embed | Layer | None] = [stage.embed, *stage.layers]
        for part in parts:
            if part is not None and part.positions is not None:
                spread = interpolated(part.positions.detach(), stage.queries, size // PATCH)
                part.positions = nn.Parameter(spread)
    found.size = size
    return found


def interpolated(positions: Tensor, queries: int, side: int, before: tuple[int, int] | None = None) -> Tensor:
    """Positions for a square of patches, interpolated from those of another grid.

    Args:
        positions: [1, 1 + P + Q, hidden].
        queries: Q.
        side: patches along each side of the square.
        before: rows and columns of the P patches; None: they are a square.

    Returns:
        [1, 1 + side * side + Q, hidden].
    """
    patches = positions[:, 1:-queries]
    rows, columns = before or (math.isqrt(patches.shape[1]),) * 2
    grid = patches.transpose(1, 2).unflatten(2, (rows, columns))
    grid = F.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2), positions[:, -queries:]], dim=1)


def check_size(size: int) -> None:
    """Raise UserError unless patches fill a square of this side, in px."""
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
    """The stages of a YOLOS, typed as such."""
    return cast("Sequence[YolosStage]", detector.stages)


def embed_of(detector: Detector) -> Embed:
    """The embedding of a YOLOS, which its first stage has."""
    return cast("Embed", stages_of(detector)[0].embed)


def attentions(detector: Detector) -> list[YolosSelfAttention]:
    """The attention of every layer, in order, however deep its stage lies in another."""
    return [layer.layer.attention.attention for layer in detector.modules() if isinstance(layer, Layer)]


def layer_rates(detector: Detector, decay: float, share: float = 1.0) -> dict[str, float]:
    """Factors of a learning rate that decay from the last layer down to the embedding.

    Where every stage has an embedding of its own, as in a chain of resolutions, each is counted for itself.

    Args:
        detector: a YOLOS or a chain of them.
        decay: factor from each layer to the one before it, and to the embedding; the last layer has 1.
        share: of the layers, the highest, that learn at all, in [0, 1]; all others have 0.

    Returns:
        The beginning of parameter names -> the factor.
    """
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
    """Factors of a learning rate for a pretrained trunk: `layer_rates` times `rate`.

    The queries, which are new to the trunk, have 1.
    """
    rates = {name: rate * factor for name, factor in layer_rates(detector, decay).items()}
    return rates | {f"{name}.queries": 1.0 for name in rates if name.endswith(".embed")}
