"""What every family's inspector promises."""

import pytest
import torch

from models.families import FAMILIES, build, inspector


@pytest.mark.parametrize("name", FAMILIES)
def test_attention_is_shares_at_every_usual_position(name):
    torch.manual_seed(0)
    detector = build(name, ("a",), 64, None).eval()
    found = inspector(detector)
    assert set(found.usual) <= set(found.positions(detector))
    with torch.no_grad():
        maps = found.feature_maps(detector, found.usual, torch.rand(2, 3, 64, 64) * 2 - 1)
    assert len(maps) == len(found.usual)
    for one in maps:
        assert one.attention.shape == (2, *one.map.shape[2:])
        assert (one.attention >= 0).all()
        assert torch.allclose(one.attention.sum((1, 2)), torch.ones(2), atol=1e-5)
