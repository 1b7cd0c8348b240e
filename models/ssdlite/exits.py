"""Where a one-exit SSDLite is cut into a chain: exits after trunk blocks 6 to 12 read the trunk's map with a head of
their own; those after 13 to 16, where the map is already at stride 32, share the stock head's finest level, which then
is computed once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from models.detector import Detector, Raw, State
from models.ssdlite.exit_head import Attention, ExitHead, light, pyramid, silent_mix
from models.ssdlite.network import LEVELS, FullHead, SSDLiteStage, TrunkStage, joined, rows

TRUNK = 13  # blocks up to the map at stride 16 that the finest level expands
EARLY, LATE = range(6, TRUNK), range(TRUNK, 17)  # blocks after which an exit may stand
HeadKind = Literal["pyramid", "light"]
ContextFor = Literal["all", "inner", "none"]


class LevelHead(nn.Module):
    """The stock head on one level: its two predictors, taken out of torchvision's."""

    def __init__(self, head: nn.Module, level: int):
        super().__init__()
        self.classes = head.classification_head.module_list[level]
        self.boxes = head.regression_head.module_list[level]
        self.outputs = head.classification_head.num_columns

    def forward(self, x: Tensor) -> Raw:
        return rows(self.classes(x), self.outputs), rows(self.boxes(x), 4)

    def answer_layers(self) -> list[nn.Module]:
        return [self.classes[1], self.boxes[1]]


class CoarseHead(nn.Module):
    """The stock head from the trunk's last map on: all levels but the finest."""

    def __init__(self, extra: nn.ModuleList, head: nn.Module):
        super().__init__()
        self.extra = extra
        self.levels = nn.ModuleList(LevelHead(head, level) for level in range(1, LEVELS))

    def forward(self, x: Tensor) -> Raw:
        maps = [x]
        for block in self.extra:
            maps.append(block(maps[-1]))
        return joined(*(head(level) for head, level in zip(self.levels, maps, strict=True)))

    def answer_layers(self) -> list[nn.Module]:
        return [layer for head in self.levels for layer in head.answer_layers()]


class LateStage(nn.Module):
    """Trunk blocks beyond the finest level, and a head for the levels that follow. `finest`: expands the map before it
    and answers on the finest level, in the first such stage; the others are handed that answer. temperature: as in
    `SSDLiteStage`."""

    temperature: Tensor
    parts = 3

    def __init__(self, blocks: nn.Module, head: nn.Module, last: bool, finest: tuple[nn.Module, LevelHead] | None):
        super().__init__()
        self.blocks, self.head, self.last = blocks, head, last
        self.expand, self.finest = finest or (None, None)
        self.register_buffer("temperature", torch.ones(()))

    def trunk(self, x: Tensor, *finest: Tensor) -> State:
        """What the blocks make of the map before them, and the finest level's logits and box code."""
        if self.finest is not None:
            x = self.expand(x)
            finest = self.finest(x)
        return (self.blocks(x), *finest)

    def read(self, maps: State) -> tuple[State, Raw]:
        """As `TrunkStage`; it hands on no context."""
        x, *finest = maps
        logits, deltas = joined(tuple(finest), self.head(x))
        return (), (logits / self.temperature, deltas)

    def forward(self, x: Tensor, *finest: Tensor) -> tuple[State, Raw]:
        maps = self.trunk(x, *finest)
        return () if self.last else maps, self.read(maps)[1]

    def answer_layers(self) -> list[nn.Module]:
        """The convolutions whose output channels must stay: classes and box codes."""
        return self.head.answer_layers() + ([] if self.finest is None else self.finest.answer_layers())


class ClassHead(nn.Module):
    """The stock detector from block 13 on without its box predictors: the boxes are an earlier exit's."""

    def __init__(self, full: FullHead):
        super().__init__()
        self.c4, self.tail, self.extra = full.c4, full.tail, full.extra
        self.classes = full.head.classification_head

    def forward(self, x: Tensor) -> Tensor:
        x = self.c4(x)
        levels = [x, x := self.tail(x)]
        for block in self.extra:
            levels.append(x := block(x))
        return self.classes(levels)

    def answer_layers(self) -> list[nn.Module]:
        return [block[1] for block in self.classes.module_list]


class ClassStage(nn.Module):
    """The last stage of early localisation with late classification: handed a map and box code, it says of what class
    each box is. temperature: as in `SSDLiteStage`."""

    temperature: Tensor
    parts = 1

    def __init__(self, blocks: nn.Module, head: ClassHead):
        super().__init__()
        self.blocks, self.head = blocks, head
        self.register_buffer("temperature", torch.ones(()))

    def trunk(self, x: Tensor) -> State:
        """What the blocks make of the map before them."""
        return (self.blocks(x),)

    def read(self, maps: State, deltas: Tensor) -> tuple[State, Raw]:
        """As `TrunkStage`: class logits, with the box code of the exit before."""
        return (), (self.head(*maps) / self.temperature, deltas)

    def forward(self, x: Tensor, deltas: Tensor) -> tuple[State, Raw]:
        return self.read(self.trunk(x), deltas)

    def answer_layers(self) -> list[nn.Module]:
        """The convolutions whose output channels must stay: classes."""
        return self.head.answer_layers()


def out_channels(block: nn.Module) -> int:
    """Channels of the map that a trunk block ends with."""
    return [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)][-1].out_channels


def check_positions(after: tuple[int, ...]) -> None:
    """ValueError unless `after` are increasing trunk blocks that an exit may follow."""
    if list(after) != sorted(set(after)) or any(cut not in (*EARLY, *LATE) for cut in after):
        raise ValueError(f"exits must follow increasing trunk blocks within 6..16, not {after}")


def exit_head(kind: HeadKind, cut: int, block: nn.Module, width: int, outputs: int, attend: Attention) -> ExitHead:
    """A new head for the map after trunk block `cut`: all six levels at strides 8 and 16, five at stride 32."""
    shape = {"levels": LEVELS - 1 if cut in LATE else LEVELS, "stride": 2 if cut == EARLY[0] else 1}
    if kind == "light":
        return light(out_channels(block), width, outputs, **shape)
    return pyramid(out_channels(block), width, outputs, **shape, attend=attend)


def add_exits(
    detector: Detector,
    after: tuple[int, ...],
    widths: tuple[int, ...],
    *,
    head: HeadKind = "pyramid",
    attend: Attention = "se",
    context: ContextFor = "all",
    rescale: bool = False,
    localise: bool = False,
) -> Detector:
    """A copy of a one-exit SSDLite with exits after the given trunk blocks; its last exit still answers as before.

    after: increasing trunk block indices within 6..16. widths: channels of each exit head. head, attend: its kind.
    context: which exits at stride 16 read the previous exit's context: all, the inner ones, or none; the last one only
    if none stands beyond block 12. An exit that reads none cannot change. rescale: gradient equilibrium, see
    `models.ssdlite.network.divided`. localise: the last stage only classifies the boxes of the exit before it, and so
    answers otherwise. ValueError for positions that cannot be.
    """
    check_positions(after)
    if (rescale or localise) and (not after or after[-1] in LATE):
        raise ValueError(f"gradient equilibrium and early localisation need exits within 6..12, not {after}")
    source = detector.clone()
    (full,) = trunk_stages(source)
    blocks, outputs = [*full.blocks, *full.head.tail], 1 + len(source.classes)
    early, late = [cut for cut in after if cut in EARLY], [cut for cut in after if cut in LATE]
    heads = {
        cut: exit_head(head, cut, blocks[cut], width, outputs, attend) for cut, width in zip(after, widths, strict=True)
    }
    stages: list[TrunkStage] = []
    handed = False  # whether the stage to come is handed context
    for number, cut in enumerate(early):
        piece = nn.Sequential(*blocks[early[number - 1] + 1 if number else 0 : cut + 1])
        mix = silent_mix(out_channels(blocks[cut])) if handed else None
        is_last = cut == early[-1]
        handed = cut != EARLY[0] and (context == "all" and not late if is_last else context != "none")
        hands_on = "map and boxes" if localise and is_last else "map and context" if handed else "map"
        share = 1 / (len(after) + 1 - number) if rescale else None
        stages.append(SSDLiteStage(piece, heads[cut], mix, hands_on, share))

    rest = nn.Sequential(*blocks[early[-1] + 1 if early else 0 : TRUNK])
    if late:
        stages += late_stages(full.head, rest, late, heads)
    elif localise:
        stages.append(ClassStage(rest, ClassHead(full.head)))
    else:
        stages.append(SSDLiteStage(rest, full.head, silent_mix(out_channels(blocks[TRUNK - 1])) if handed else None))
    return source.with_stages(stages)


def late_stages(full: FullHead, rest: nn.Module, late: list[int], heads: dict[int, ExitHead]) -> list[TrunkStage]:
    """The chain from `rest`, the trunk blocks at stride 16 that are left, on: exits after the blocks `late`, then the
    full model's. The first of them computes the finest level for all."""
    finest = nn.Sequential(rest, full.c4), LevelHead(full.head, 0)
    stages, start = [], TRUNK
    for cut in late:
        piece = nn.Sequential(*full.tail[start - TRUNK : cut + 1 - TRUNK])
        stages.append(LateStage(piece, heads[cut], last=False, finest=None if stages else finest))
        start = cut + 1
    piece = nn.Sequential(*full.tail[start - TRUNK :])
    return [*stages, LateStage(piece, CoarseHead(full.extra, full.head), last=True, finest=None)]


def pretrained_modules(detector: Detector) -> tuple[nn.Module, ...]:
    """The modules that `add_exits` brought along from the detector that it was given, and nothing that it made."""
    made = [stage.head for stage in trunk_stages(detector) if isinstance(stage.head, ExitHead)]
    made += [stage.mix for stage in trunk_stages(detector) if getattr(stage, "mix", None) is not None]
    new = {module for part in made for module in part.modules()}
    return tuple(module for module in detector.modules() if new.isdisjoint(module.modules()))


def trunk_stages(detector: Detector) -> Sequence[TrunkStage]:
    """The stages of an SSDLite as what they are."""
    return cast("Sequence[TrunkStage]", detector.stages)


def alone(detector: Detector, exit: int) -> Detector:
    """The plain shallower network that stops at one inner exit of a chain without context: all the way there is one
    stage, and no other head is computed. It shares its weights with the chain. ValueError for an exit with context."""
    *before, last = trunk_stages(detector)[: exit + 1]
    if getattr(last, "mix", None) is not None:
        raise ValueError(f"exit {exit + 1} reads the context of the exit before it")
    late = [stage for stage in (*before, last) if isinstance(stage, LateStage)]
    early = [block for stage in (*before, last) if stage not in late for block in stage.blocks]
    if late:
        finest = nn.Sequential(*early, late[0].expand), late[0].finest
        beyond = [block for stage in late for block in stage.blocks]
        stage = LateStage(nn.Sequential(*beyond), last.head, last=True, finest=finest)
    else:
        stage = SSDLiteStage(nn.Sequential(*early), last.head)
    stage.temperature = last.temperature
    return detector.with_stages([stage], decode=detector.decoders[exit])


def truncated(detector: Detector, after: int, width: int) -> Detector:
    """A one-exit SSDLite that ends after a trunk block: the trunk's weights, and a new exit head. See `add_exits`."""
    return alone(add_exits(detector, (after,), (width,), context="none"), 0)


def shallower(detector: Detector, after: int, width: int) -> tuple[Detector, tuple[nn.Module, ...]]:
    """`truncated`, and the modules that it has from the whole detector."""
    made = truncated(detector, after, width)
    return made, pretrained_modules(made)
