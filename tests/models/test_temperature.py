"""Temperatures: recovered where the right one is known, and never outside the clamp."""

import numpy as np
import pytest
import torch

from models.detector import Targets
from models.ssdlite.exits import add_exits
from models.ssdlite.network import ssdlite
from models.temperature import CLAMP, best_temperature, fit_temperatures


@pytest.mark.parametrize("planted", [0.7, 1.0, 1.8])
def test_recovers_a_planted_temperature(planted):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 3, generator=generator) * 2
    labels = torch.multinomial((logits / planted).softmax(-1), 1, generator=generator)[:, 0]
    assert best_temperature(logits, labels) == pytest.approx(planted, rel=0.05)


@pytest.mark.parametrize(("sign", "bound"), [(1, CLAMP[0]), (-1, CLAMP[1])])
def test_is_clamped(sign, bound):
    logits = torch.tensor([[0.0, 0.1 * sign]]).repeat(50, 1)
    assert best_temperature(logits, torch.ones(50, dtype=torch.long)) == pytest.approx(bound, abs=0.01)


class Val:
    def __len__(self):
        return 3

    def image(self, index):
        return np.random.default_rng(index).integers(0, 256, (96, 96, 3), dtype=np.uint8)

    def targets(self, indices):
        boxes = torch.tensor([[[0.1, 0.1, 0.5, 0.5]]]).repeat(len(indices), 1, 1)
        return Targets(
            boxes,
            torch.ones(len(indices), 1, dtype=torch.long),
            torch.zeros(len(indices), 1, dtype=torch.bool),
        )


def test_every_exit_gets_one_and_its_logits_are_divided_by_it():
    detector = add_exits(ssdlite(("a",), 96), (8,), (16,)).eval()
    images = torch.randn(1, 3, 96, 96)
    with torch.inference_mode():
        before = [logits for logits, _ in detector(images)]
        temperatures = fit_temperatures(detector, Val())
        after = [logits for logits, _ in detector(images)]
    assert len(temperatures) == 2
    for old, new, temperature in zip(before, after, temperatures, strict=True):
        assert CLAMP[0] <= temperature <= CLAMP[1]
        assert torch.allclose(old / temperature, new, atol=1e-4)
