"""What a probe found, as typed JSON: numbers per position of the trunk, and everything that they depend on."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from bench.experiments.probe.rule import Answer
from bench.records import Environment, Share

FILE = "probe.json"
Ratio = Annotated[float, Field(ge=0)]


class _Typed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Settings(_Typed):
    """How a trunk is probed.

    The trunk's maps of all augmentations lie in memory as fp16: 1.2 MB an image and augmentation for four layers of
    yolos-small at 320 px.
    """

    images: int = Field(200, ge=5, description="val images that attention and tokens are of")
    train: int = Field(2000, ge=1, description="training images of the linear probe, at most")
    epochs: int = Field(8, ge=1, description="of the linear probe")
    learning_rate: float = Field(
        3e-3, gt=0, validation_alias=AliasChoices("learning_rate", "rate"), description="its peak"
    )
    augmentations: int = Field(
        2, ge=1, validation_alias=AliasChoices("augmentations", "views"), description="of each training image"
    )
    batch_size: int = Field(16, ge=1, validation_alias=AliasChoices("batch_size", "batch"), description="images a step")
    resamples: int = Field(1000, ge=100, description="of the bootstrap")
    control: bool = Field(True, description="whether an untrained trunk is probed too")


class Focus(_Typed):
    """Where attention lies, over the images that were looked at."""

    entropy: Share = Field(description="mean entropy of the attention, as a share of that of even attention")
    inside: Share = Field(description="mean share of the attention inside object boxes, of images with objects")
    area: Share = Field(description="mean share of the area inside object boxes, of the same images")
    lift: Ratio = Field(description="inside / area: 1 is attention that does not look for objects")
    lift_interval: tuple[Ratio, Ratio] = Field(description="its 95 % bootstrap interval over images")
    blind: Ratio = Field(description="lift of the other images' mean attention: where objects usually are")


class Separation(_Typed):
    """How well a linear discriminant tells tokens of objects from the background (`bench.experiments.probe.tokens`)."""

    tokens: int = Field(description="tokens it was measured on, half of them of objects")
    images: int = Field(description="images they are from")
    auc: Share = Field(description="area under the ROC curve on images that the discriminant has not seen")
    interval: tuple[Share, Share] = Field(description="its 95 % bootstrap interval over images, discriminants held")
    place: Share = Field(description="the same from where a token is, and nothing of what it says")
    explained: tuple[Share, Share] = Field(description="share of variance along the two first principal components")


class Linear(_Typed):
    """The linear probe on val."""

    map: Share = Field(description="COCO mAP")
    map50: Share = Field(description="AP50")
    map_interval: tuple[Share, Share] = Field(description="95 % bootstrap interval of the mAP over images")
    map50_interval: tuple[Share, Share] = Field(description="of the AP50")


class Position(_Typed):
    """All three experiments after one layer or block."""

    after: int = Field(description="layer or block")
    side: int = Field(description="of the map, in cells")
    channels: int
    focus: Focus
    separation: Separation | None = Field(description="null: too few images have both objects and background")
    linear: Linear


class Probe(_Typed):
    """What probing one detector found."""

    model: str
    source: str = Field(description="what the weights are: a file or name, a run's baseline, or 'untrained'")
    weights_hash: str = Field(description="sha256 of all parameters and buffers")
    size: int = Field(description="side of the input, px")
    unit: str = Field(description="what positions are: 'layer' or 'block'")
    data: str
    classes: tuple[str, ...]
    splits: dict[str, str] = Field(description="role -> hash of the split")
    images: int = Field(description="val images that attention and tokens are of")
    train_images: int = Field(description="training images of the linear probe")
    val_images: int = Field(description="val images it was measured on")
    seed: int
    settings: Settings = Field(description="how the trunk was probed")
    positions: tuple[Position, ...]
    control: tuple[Position, ...] = Field(description="the same of an untrained trunk of the same shape; empty: none")
    answers: tuple[Answer, ...] = Field(description="of the rule at the first two positions")
    sentences: tuple[str, ...] = Field(description="the rule in words")
    environment: Environment
