"""What a YOLOS learns under each training recipe, as typed JSON.

Files of before "lessons" were called auxiliary losses keep their name and are read by their old keys.
"""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from bench.records import Environment, Positive, Share

FILE = "lessons.json"


class _Typed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Settings(_Typed):
    """Data, training and threads, the same for every recipe."""

    seed: int = Field(0, description="of the data, the weights and the order of the images")
    images: tuple[int, int] = Field((1600, 300), description="train and val images")
    pixels: int = Field(128, ge=64, multiple_of=16, description="side of the images and of the input")
    batch_size: int = Field(16, ge=1, validation_alias=AliasChoices("batch_size", "batch"), description="images a step")
    epochs: int = Field(8, ge=1, description="of every training")
    learning_rate: float = Field(
        1e-3, gt=0, validation_alias=AliasChoices("learning_rate", "rate"), description="peak learning rate"
    )
    head_epochs: int = Field(4, ge=1, description="of heads of their own on the frozen trunk")
    threads: int = Field(2, ge=1, description="of training and measuring")


class RecipeResult(_Typed):
    """What the network learned under one recipe."""

    name: str = Field(description="which recipe")
    auxiliary_losses: dict[str, Any] = Field(
        validation_alias=AliasChoices("auxiliary_losses", "lessons"), description="options of `models.yolos.auxiliary`"
    )
    shared: tuple[Share, ...] = Field(description="AP50 on val after each of the layers, read by the last layer's head")
    own: tuple[Share, ...] = Field(description="the same, read by heads trained for these layers on the frozen trunk")
    step: Positive = Field(description="time of a training step, as a share of the usual recipe's")


class RecipeComparison(_Typed):
    """The recipes side by side."""

    settings: Settings
    after: tuple[int, ...] = Field(description="the layers that are read")
    split: str = Field(description="hash of the val split")
    recipes: tuple[RecipeResult, ...] = Field(validation_alias=AliasChoices("recipes", "taught"))
    environment: Environment
