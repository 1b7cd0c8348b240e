"""Looking into YOLOS: the maps are those the network itself goes on with, and attention is what transformers' own eager
attention says."""

import pytest
import torch
from transformers import YolosConfig, YolosForObjectDetection

from models.yolos.inspector import after_layers
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
        maps = after_layers(stock(("cat", "dog"), 64, str(folder)).eval(), (1, 3), pixels * 2 - 1)
    for found, layer in zip(maps, (1, 3), strict=True):
        patches = theirs.hidden_states[layer][:, 1:-QUERIES]
        assert torch.allclose(found.map.flatten(2).transpose(1, 2), patches, atol=1e-4)
        paid = theirs.attentions[layer - 1][:, :, -QUERIES:, 1:-QUERIES].mean((1, 2))
        assert torch.allclose(found.attention.flatten(1), paid / paid.sum(1, keepdim=True), atol=1e-5)
        assert found.attention.flatten(1).std() > 1e-3


def test_a_chain_is_seen_as_the_plain_network_is():
    torch.manual_seed(0)
    plain, images = scratch(("a",), 64).eval(), torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        one = after_layers(plain, (2, 5), images)
        other = after_layers(multi_exit(plain, (3,)), (2, 5), images)
    assert all(torch.equal(a.map, b.map) for a, b in zip(one, other, strict=True))
