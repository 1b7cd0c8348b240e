"""Where a one-exit SSDLite is cut into a chain.

Exits after trunk blocks 6 to 12 read the trunk's map with a head of their own. Those after 13 to 16, where the map is
already at stride 32, share the stock head's finest level, which then is computed once for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torchvision.models.detection.ssdlite import SSDLiteClassificationHead, SSDLiteHead

from models.detector import Detector, Raw, State, module_list
from models.ssdlite.exit_head import Attention, ExitHead, light, pyramid, silent_mix
from models.ssdlite.network import LEVELS, FullHead, HandsOn, Head, SSDLiteStage, TrunkStage, joined, rows

TRUNK = 13  # blocks up to the map at stride 16 that the finest level expands
EARLY, LATE = range(6, TRUNK), range(TRUNK, 17)  # blocks after which an exit may stand
HeadKind = Literal["pyramid", "light"]
ContextFor = Literal["all", "inner", "none"]


class LevelHead(nn.Module):
    """The stock head on one level: its two predictors, taken out of torchvision's.

    Args:
        head: torchvision's, over all levels.
        level: index, the finest is 0.
    """

    classes: nn.Sequential
    boxes: nn.Sequential
    outputs: int

    def __init__(self, head: SSDLiteHead, level: int):
        super().__init__()
        self.classes = head.classification_head.module_list[level]
        self.boxes = head.regression_head.module_list[level]
        self.outputs = head.classification_head.num_columns

    def forward(self, x: Tensor) -> Raw:
        """The answer on this level, from its map [N, C, H, W]."""
        return rows(self.classes(x), self.outputs), rows(self.boxes(x), 4)

    def answer_layers(self) -> list[nn.Module]:
        """The convolutions whose output channels are classes and box codes."""
        return [self.classes[1], self.boxes[1]]


class CoarseHead(nn.Module):
    """The stock head from the trunk's last map on: all levels but the finest.

    Args:
        extra: the blocks behind the trunk, one per extra level.
        head: torchvision's, over all levels.
    """

    def __init__(self, extra: nn.ModuleList, head: SSDLiteHead):
        super().__init__()
        self.extra = extra
        self.levels = module_list([LevelHead(head, level) for level in range(1, LEVELS)])

    def forward(self, x: Tensor) -> Raw:
        """The answer over these levels, from the trunk's last map [N, C, H, W]."""
        maps = [x]
        for block in self.extra:
            maps.append(block(maps[-1]))
        return joined(*(head(level) for head, level in zip(self.levels, maps, strict=True)))

    def answer_layers(self) -> list[nn.Module]:
        """The convolutions whose output channels are classes and box codes."""
        return [layer for head in self.levels for layer in head.answer_layers()]


class LateStage(nn.Module):
    """Trunk blocks beyond the finest level, and a head for the levels that follow.

    Args:
        blocks: of the trunk.
        head: answers on all levels but the finest.
        last: whether nothing is handed on.
        finest: in the first such stage, what expands the map before it and what answers on the finest level; None in
            the others, which are handed that answer.
    """

    head: Head
    expand: nn.Module | None
    finest: LevelHead | None
    temperature: Tensor
    parts = 3

    def __init__(
        self,
        blocks: nn.Sequential,
        head: Head,
        last: bool,
        finest: tuple[nn.Module, LevelHead] | None,
    ):
        super().__init__()
        self.blocks, self.head, self.last = blocks, head, last
        self.expand, self.finest = finest or (None, None)
        self.register_buffer("temperature", torch.ones(()))

    def trunk(self, x: Tensor, *finest: Tensor) -> State:
        """The map behind the blocks, and the finest level's logits and box code."""
        if self.expand is not None and self.finest is not None:
            x = self.expand(x)
            finest = self.finest(x)
        return (self.blocks(x), *finest)

    def read(self, maps: State) -> tuple[State, Raw]:
        """No context, and the exit's answer: the finest level's joined with the head's."""
        x, *finest = maps
        logits, deltas = joined((finest[0], finest[1]), self.head(x))
        return (), (logits / self.temperature, deltas)

    def forward(self, x: Tensor, *finest: Tensor) -> tuple[State, Raw]:
        """The state for the next stage and the exit's answer; only the first such stage is given no finest level."""
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
        self.classes: SSDLiteClassificationHead = full.head.classification_head

    def forward(self, x: Tensor) -> Tensor:
        """Class logits [N, A, 1 + C], from the map [N, C, H, W] at stride 16."""
        x = self.c4(x)
        levels = [x, x := self.tail(x)]
        for block in self.extra:
            levels.append(x := block(x))
        return self.classes(levels)

    def answer_layers(self) -> list[nn.Module]:
        """The convolutions whose output channels are classes."""
        return [block[1] for block in self.classes.module_list]


class ClassStage(nn.Module):
    """The last stage of early localisation with late classification: it classifies the boxes of the exit before it.

    Args:
        blocks: of the trunk, up to stride 16.
        head: the rest, which classifies.
    """

    temperature: Tensor
    parts = 1

    def __init__(self, blocks: nn.Sequential, head: ClassHead):
        super().__init__()
        self.blocks, self.head = blocks, head
        self.register_buffer("temperature", torch.ones(()))

    def trunk(self, x: Tensor) -> State:
        """The one map behind the blocks, as a state."""
        return (self.blocks(x),)

    def read(self, maps: State, deltas: Tensor) -> tuple[State, Raw]:
        """No context, and class logits from the trunk's map, with the box code of the exit before."""
        return (), (self.head(*maps) / self.temperature, deltas)

    def forward(self, x: Tensor, deltas: Tensor) -> tuple[State, Raw]:
        """No state, and the answer, from a map [N, C, H, W] and the box code [N, A, 4] of the exit before."""
        return self.read(self.trunk(x), deltas)

    def answer_layers(self) -> list[nn.Module]:
        """The convolutions whose output channels must stay: classes."""
        return self.head.answer_layers()


def out_channels(block: nn.Module) -> int:
    """Channels of the map that a trunk block ends with."""
    return [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)][-1].out_channels


def check_positions(after: tuple[int, ...]) -> None:
    """Raise ValueError unless `after` are increasing trunk blocks that an exit may follow."""
    if list(after) != sorted(set(after)) or any(cut not in (*EARLY, *LATE) for cut in after):
        raise ValueError(f"exits must follow increasing trunk blocks within 6..16, not {after}")


def exit_head(kind: HeadKind, cut: int, block: nn.Module, width: int, outputs: int, attend: Attention) -> ExitHead:
    """A new head for the map after a trunk block: all six levels at strides 8 and 16, five at stride 32.

    Args:
        kind: "pyramid" or "light".
        cut: index of the trunk block.
        block: that block.
        width: channels of every level.
        outputs: classes with background.
        attend: kind of attention, which a light head does not have.
    """
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
    """A copy of a one-exit SSDLite with exits after trunk blocks; its last exit still answers as before.

    Args:
        detector: one-exit and uncut.
        after: increasing trunk block indices within 6..16.
        widths: channels of each exit head.
        head: kind of every exit head.
        attend: kind of attention in every exit head.
        context: which exits at stride 16 read the previous exit's context: all, the inner ones, or none; the last one
            only if no exit stands beyond block 12. An exit that reads none answers the same whatever the others do.
        rescale: gradient equilibrium (`models.ssdlite.network.divided`).
        localise: the last stage only classifies the boxes of the exit before it, and so answers otherwise than before.

    Raises:
        ValueError: for positions that cannot be.
    """
    check_positions(after)
    if (rescale or localise) and (not after or after[-1] in LATE):
        raise ValueError(f"gradient equilibrium and early localisation need exits within 6..12, not {after}")
    source = detector.clone()
    first, full = whole(source)
    blocks, outputs = [*first, *full.tail], 1 + len(source.classes)
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
        hands_on: HandsOn = "map and boxes" if localise and is_last else "map and context" if handed else "map"
        share = 1 / (len(after) + 1 - number) if rescale else None
        stages.append(SSDLiteStage(piece, heads[cut], mix, hands_on, share))

    rest = nn.Sequential(*blocks[early[-1] + 1 if early else 0 : TRUNK])
    if late:
        stages += late_stages(full, rest, late, heads)
    elif localise:
        stages.append(ClassStage(rest, ClassHead(full)))
    else:
        stages.append(SSDLiteStage(rest, full, silent_mix(out_channels(blocks[TRUNK - 1])) if handed else None))
    return source.with_stages(stages)


def late_stages(full: FullHead, rest: nn.Module, late: list[int], heads: dict[int, ExitHead]) -> list[TrunkStage]:
    """The chain from the end of stride 16 on: exits after late trunk blocks, then the full model's.

    The first of these stages computes the finest level for all.

    Args:
        full: the rest of the whole detector.
        rest: the trunk blocks at stride 16 that no earlier stage has.
        late: increasing trunk block indices within 13..16, one at least.
        heads: for the exits after them.
    """
    finest = nn.Sequential(rest, full.c4), LevelHead(full.head, 0)
    stages: list[TrunkStage] = []
    start = TRUNK
    for cut in late:
        piece = nn.Sequential(*full.tail[start - TRUNK : cut + 1 - TRUNK])
        stages.append(LateStage(piece, heads[cut], last=False, finest=None if stages else finest))
        start = cut + 1
    piece = nn.Sequential(*full.tail[start - TRUNK :])
    return [*stages, LateStage(piece, CoarseHead(full.extra, full.head), last=True, finest=None)]


def pretrained_modules(detector: Detector) -> tuple[nn.Module, ...]:
    """The modules of a chain that `add_exits` took from the detector that it was given, without any that it made."""
    stages = trunk_stages(detector)
    made: list[nn.Module] = [stage.head for stage in stages if isinstance(stage.head, ExitHead)]
    made += [mix for stage in stages if (mix := getattr(stage, "mix", None)) is not None]
    new = {module for part in made for module in part.modules()}
    return tuple(module for module in detector.modules() if new.isdisjoint(module.modules()))


def trunk_stages(detector: Detector) -> Sequence[TrunkStage]:
    """The stages of an SSDLite, typed as such."""
    return cast("Sequence[TrunkStage]", detector.stages)


def whole(detector: Detector) -> tuple[nn.Sequential, FullHead]:
    """The trunk blocks up to stride 16 and the rest of a one-exit SSDLite that is not cut."""
    (stage,) = trunk_stages(detector)
    return stage.blocks, cast("FullHead", stage.head)


def alone(detector: Detector, exit: int) -> Detector:
    """The plain shallower network that stops at one inner exit of a chain without context.

    All the way there is one stage, and no other head is computed. It shares its weights with the chain.

    Args:
        detector: a chain of `add_exits`.
        exit: index of an inner exit.

    Raises:
        ValueError: for an exit that reads context.
    """
    stages = trunk_stages(detector)[: exit + 1]
    last, head = stages[-1], cast("Head", stages[-1].head)
    if getattr(last, "mix", None) is not None:
        raise ValueError(f"exit {exit + 1} reads the context of the exit before it")
    late = [stage for stage in stages if isinstance(stage, LateStage)]
    early = [block for stage in stages if stage not in late for block in stage.blocks]
    stage: LateStage | SSDLiteStage
    if late:
        expand, finest = cast("tuple[nn.Module, LevelHead]", (late[0].expand, late[0].finest))
        beyond = [block for one in late for block in one.blocks]
        stage = LateStage(nn.Sequential(*beyond), head, last=True, finest=(nn.Sequential(*early, expand), finest))
    else:
        stage = SSDLiteStage(nn.Sequential(*early), head)
    stage.temperature = last.temperature
    return detector.with_stages([stage], decode=detector.decoders[exit])


def truncated(detector: Detector, after: int, width: int) -> Detector:
    """A one-exit SSDLite that ends after a trunk block: the trunk's weights, and a new exit head (`add_exits`)."""
    return alone(add_exits(detector, (after,), (width,), context="none"), 0)


def shallower(detector: Detector, after: int, width: int) -> tuple[Detector, tuple[nn.Module, ...]]:
    """A `truncated` detector, and the modules that it has from the whole one."""
    made = truncated(detector, after, width)
    return made, pretrained_modules(made)
