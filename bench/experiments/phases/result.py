"""What replaying the rounds found, as typed JSON: settings, splits, and the numbers of every run."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from bench.experiments.phases.recipes import Assignment
from bench.records import Environment, Share

FILE = "phases.json"


class _Typed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Settings(_Typed):
    """Data, training and threads, the same for every recipe."""

    seed: int = Field(0, description="of the data, the weights and the order of the images")
    images: tuple[int, int, int] = Field((800, 150, 200), description="train, val and test images")
    pixels: int = Field(96, ge=64, description="side of the images and of the input")
    batch_size: int = Field(16, ge=1, validation_alias=AliasChoices("batch_size", "batch"), description="images a step")
    baseline_epochs: int = Field(24, ge=1, description="of the detector without exits")
    epochs: int = Field(4, ge=1, description="of every recipe, from there")
    learning_rate: float = Field(
        2e-3, gt=0, validation_alias=AliasChoices("learning_rate", "rate"), description="peak learning rate"
    )
    threads: int = Field(2, ge=1, description="of training and measuring")


class Run(_Typed):
    """One recipe under one assignment: what it reached, and what the alarms said."""

    recipe: str = Field(description="which round, or 'sound'")
    tried: str = Field(description="what it tried, in a few words")
    assignment: Assignment = Field(description="how anchors got their objects in training")
    map_per_exit: tuple[Share, ...] = Field(description="COCO mAP when this exit answers every test image")
    map50_per_exit: tuple[Share, ...] = Field(description="AP50 when this exit answers every test image")
    map: Share = Field(description="mAP of the routed images")
    exit_share: tuple[Share, ...] = Field(description="share of the test images that each exit answers")
    criterion: str = Field(description="what the thresholds are on; 'confidence': the recipe's own")
    mean_confidence: tuple[float, ...] = Field(description="mean score of each exit by that criterion")
    thresholds: tuple[float | None, ...] = Field(description="of every exit but the last; null: never")
    temperatures: tuple[float, ...] = Field(description="one per exit")
    alarms: dict[str, tuple[str, ...]] = Field(description="kind of fault -> what the alarms said")
    expected: Annotated[str, Field(pattern="^(caught|passes)$")] = Field(description="what should come out")

    @property
    def outcome(self) -> str:
        """What came out: "caught" when any alarm went off, else "passes"."""
        return "caught" if self.alarms else "passes"

    @property
    def as_expected(self) -> bool:
        """Whether the outcome is the expected one."""
        return self.outcome == self.expected


class Phases(_Typed):
    """All replayed rounds."""

    settings: Settings
    splits: dict[str, str] = Field(description="role -> hash of the split")
    runs: tuple[Run, ...]
    environment: Environment

    @property
    def as_expected(self) -> bool:
        """Whether every recipe met its expectation."""
        return all(run.as_expected for run in self.runs)
