"""What a scan of exit positions found, as typed JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from bench.records import FLOP, Environment, Positive, Share

FILE = "positions.json"


class _Typed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Place(_Typed):
    """Where a network ends, or at which input, and what that gives and costs."""

    name: str = Field(
        description="'block 8', 'layer 3': the network ends there; '256 px': the whole one, smaller; 'whole'"
    )
    map: Share = Field(description="COCO mAP on val")
    map50: Share = Field(description="AP50 on val")
    interval: tuple[Share, Share] = Field(description="95 % bootstrap interval of the mAP over images")
    flops: int = Field(description=FLOP)
    ms: Positive = Field(description="mean ms of an image, batch 1")
    time: Positive = Field(description="share of the whole network's time")
    time_interval: tuple[Positive, Positive] = Field(description="its 95 % bootstrap interval over images")


class Positions(_Typed):
    """All places of a scan, measured on one val split."""

    settings: dict[str, Any] = Field(description="how the heads were trained")
    runtime: str
    val_images: int
    split: str = Field(description="hash of the val split")
    seed: int
    places: tuple[Place, ...]
    environment: Environment


def exits_of(found: Positions) -> list[Place]:
    """The places where the network ends after a block or layer."""
    return [place for place in found.places if place.name != "whole" and not place.name.endswith(" px")]


def unit_of(exits: Sequence[Place]) -> str:
    """What the exits' positions are called: "block" or "layer"."""
    return exits[0].name.split()[0]
