"""Looking into a trunk: the maps are those the network itself goes on with, and attention is what transformers' own
eager attention says."""

import pytest
import torch
from transformers import YolosConfig, YolosForObjectDetection

from models.families import family
from models.inspector import after_blocks, after_layers, energy
from models.ssdlite.network import ssdlite
from models.yolos.network import multi_exit, scratch
from models.yolos.weights import MEAN, STD, stock

QUERIES = 9


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    torch.manual_seed(0)
    settings = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 48}
    settings |= {"num_detection_tokens": QUERIES, "image_size": [64, 64], "id2label": {0: "dog", 1: "cat"}}
    model = YolosForObjectDetection(YolosConfig(**settings, use_mid_position_embeddings=False))
    for name, part in model.named_parameters():
        if "query" in name or "key" in name or "position" in name or "token" in name:
            torch.nn.init.normal_(part, std=0.5)  # as initialised, attention is all but even
    folder = tmp_path_factory.mktemp("yolos")
    model.save_pretrained(folder)
    return YolosForObjectDetection.from_pretrained(folder, attn_implementation="eager").eval(), folder


def test_layers_are_seen_as_transformers_sees_them(saved):
    model, folder = saved
    pixels = torch.rand(2, 3, 64, 64)
    mean, std = (torch.tensor(part)[:, None, None] for part in (MEAN, STD))
    with torch.no_grad():
        theirs = model.vit((pixels - mean) / std, output_attentions=True, output_hidden_states=True)
        looks = after_layers(stock(("cat", "dog"), 64, str(folder)).eval(), (1, 3), pixels * 2 - 1)
    for look, layer in zip(looks, (1, 3), strict=True):
        patches = theirs.hidden_states[layer][:, 1:-QUERIES]
        assert torch.allclose(look.map.flatten(2).transpose(1, 2), patches, atol=1e-4)
        paid = theirs.attentions[layer - 1][:, :, -QUERIES:, 1:-QUERIES].mean((1, 2))
        assert torch.allclose(look.attention.flatten(1), paid / paid.sum(1, keepdim=True), atol=1e-5)
        assert look.attention.flatten(1).std() > 1e-3


def test_a_chain_is_seen_as_the_plain_network_is():
    torch.manual_seed(0)
    plain, images = scratch(("a",), 64).eval(), torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        one = after_layers(plain, (2, 5), images)
        other = after_layers(multi_exit(plain, (3,)), (2, 5), images)
    assert all(torch.equal(a.map, b.map) for a, b in zip(one, other, strict=True))


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
        looks = after_blocks(detector, tuple(parts), images)
    assert [tuple(look.map.shape[2:]) for look in looks] == [(6, 6), (3, 3), (3, 3)]
    for look, expected in zip(looks, heard.values(), strict=True):
        assert torch.equal(look.map, expected)


def test_the_trunk_runs_no_further_than_it_is_asked():
    detector, ran = ssdlite(("a",), 64).eval(), []
    for number, block in enumerate(detector.stages[0].blocks):
        block.register_forward_hook(lambda *_, number=number: ran.append(number))
    with torch.no_grad():
        after_blocks(detector, (6, 8), torch.zeros(1, 3, 64, 64))
    assert ran == list(range(9))


@pytest.mark.parametrize("detector", [ssdlite(("a",), 64), scratch(("a",), 64)], ids=["ssdlite", "yolos"])
def test_attention_is_shares_at_every_usual_position(detector):
    sight = family(detector).sight
    assert set(sight.usual) <= set(sight.places(detector))
    with torch.no_grad():
        looks = sight.looks(detector.eval(), sight.usual, torch.rand(2, 3, 64, 64) * 2 - 1)
    assert len(looks) == len(sight.usual)
    for look in looks:
        assert look.attention.shape == (2, *look.map.shape[2:])
        assert (look.attention >= 0).all()
        assert torch.allclose(look.attention.sum((1, 2)), torch.ones(2), atol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 1e-25])
def test_energy_is_where_the_map_is_large_however_small_it_is(scale):
    seen = torch.zeros(2, 4, 3, 3)
    seen[0, :, 1, 2] = scale
    seen[0, 0, 0, 0] = -scale
    shares = energy(seen)
    assert shares[0, 1, 2] == pytest.approx(0.8)
    assert shares[0, 0, 0] == pytest.approx(0.2)
    assert torch.allclose(shares[1], torch.full((3, 3), 1 / 9))
