"""Pixels become input: squashed to a square, and scaled as they have been since weights were trained."""

import numpy as np
import torch

from models.families import FAMILIES, build
from models.pixels import CENTRED

PIXELS = torch.arange(256, dtype=torch.uint8).repeat(3).reshape(1, 16, 16, 3)


def test_centred_pixels_are_exactly_what_they_were():
    found = CENTRED(PIXELS)
    assert found.shape == (1, 3, 16, 16)
    assert torch.equal(found, (PIXELS.float() / 127.5 - 1.0).permute(0, 3, 1, 2))
    assert (float(found.min()), float(found.max())) == (-1.0, 1.0)
    images = torch.rand(2, 3, 4, 4)
    assert CENTRED.of_centred(images) is images


def test_our_families_take_centred_pixels():
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for name in FAMILIES:
        found = build(name, ("a",), 64, None).to_input(picture)
        assert torch.equal(found, CENTRED(torch.from_numpy(picture)[None]))
