"""Exits at a small and the full input."""

import numpy as np
import pytest
import torch

from models.errors import UserError
from models.ssdlite.network import resized
from strategies.resolution_exit import ResolutionExit
from tests.support.toys import apply, awake


def test_resolution_exits_answer_as_the_baseline_at_either_size():
    start = awake(96)
    (made,), calls = apply(ResolutionExit(scales=(0.7,)), start)
    assert not calls
    assert (made.strategy, made.variant, made.detector.exits) == ("resolution_exit", "64px", 2)
    picture = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    images = start.detector.to_input(picture)
    small = resized(start.detector, 64).eval()
    shrunk = torch.nn.functional.interpolate(images, size=(64, 64), mode="bilinear")
    goals = (small(shrunk)[0], start.detector(images)[0])
    for raw, goal, stage in zip(made.detector(images), goals, made.detector.stages, strict=True):
        assert torch.allclose(raw[0] * stage.temperature, goal[0], atol=1e-5)
        assert torch.allclose(raw[1], goal[1], atol=1e-5)
    with pytest.raises(UserError, match="stay below 96 px"):
        apply(ResolutionExit(scales=(1.0,)), start)
