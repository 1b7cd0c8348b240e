"""Looking into SSDLite: the maps are those the network itself goes on with."""

import pytest
import torch

from models.ssdlite.inspector import after_blocks, energy
from models.ssdlite.network import ssdlite


def test_blocks_are_seen_as_the_network_goes_on_with_them():
    torch.manual_seed(0)
    detector, images = ssdlite(("a",), 96).eval(), torch.rand(2, 3, 96, 96) * 2 - 1
    (stage,) = detector.stages
    parts = {8: stage.blocks[8], 13: stage.head.tail[0], 16: stage.head.tail[3]}
    heard = {}
    for number, part in parts.items():
        part.register_forward_hook(lambda _, __, out, number=number: heard.setdefault(number, out.clone()))
    with torch.no_grad():
        detector(images)
        maps = after_blocks(detector, tuple(parts), images)
    assert [tuple(found.map.shape[2:]) for found in maps] == [(6, 6), (3, 3), (3, 3)]
    for found, expected in zip(maps, heard.values(), strict=True):
        assert torch.equal(found.map, expected)


def test_the_trunk_runs_no_further_than_it_is_asked():
    detector, ran = ssdlite(("a",), 64).eval(), []
    for number, block in enumerate(detector.stages[0].blocks):
        block.register_forward_hook(lambda *_, number=number: ran.append(number))
    with torch.no_grad():
        after_blocks(detector, (6, 8), torch.zeros(1, 3, 64, 64))
    assert ran == list(range(9))


@pytest.mark.parametrize("scale", [1.0, 1e-25])
def test_energy_is_where_the_map_is_large_however_small_it_is(scale):
    seen = torch.zeros(2, 4, 3, 3)
    seen[0, :, 1, 2] = scale
    seen[0, 0, 0, 0] = -scale
    shares = energy(seen)
    assert shares[0, 1, 2] == pytest.approx(0.8)
    assert shares[0, 0, 0] == pytest.approx(0.2)
    assert torch.allclose(shares[1], torch.full((3, 3), 1 / 9))
