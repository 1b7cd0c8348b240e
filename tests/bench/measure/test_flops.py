"""FLOPs against closed forms, and the two counters against each other."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from transformers import YolosConfig, YolosModel

from bench.measure.flops import Cost, flops_per_exit, parameters


class ConvStage(nn.Module):
    """3x3 convolution with stride 2, batch norm, and a 1x1 head."""

    def __init__(self, channels_in, channels, answers):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, stride=2, padding=1), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.head = nn.Conv2d(channels, answers, 1)

    def forward(self, x):
        x = self.trunk(x)
        return (x,), (self.head(x), self.head(x).sigmoid())


class Last(nn.Module):
    """Any module as a stage with one answer and nothing to hand on."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, *state):
        return (), (self.module(*state),)


class SelfAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


def one(module, *state):
    (cost,) = flops_per_exit([Last(module)], state)
    return cost


def test_an_exit_pays_for_its_trunk_and_for_every_head_on_the_way():
    costs = flops_per_exit([ConvStage(3, 8, 5), ConvStage(8, 16, 5)], (torch.rand(1, 3, 32, 32),))
    first = 16 * 16 * (9 * 3 * 8) + 2 * 16 * 16 * (8 * 5)
    second = 8 * 8 * (9 * 8 * 16) + 2 * 8 * 8 * (16 * 5)
    assert costs == [Cost(first, first), Cost(first + second, first + second)]


def test_counting_leaves_the_stages_as_they_were():
    stage = ConvStage(3, 8, 5).train()
    before = {name: value.clone() for name, value in stage.state_dict().items()}
    flops_per_exit([stage], (torch.rand(1, 3, 8, 8),))
    assert stage.training
    assert not stage._forward_hooks
    assert all(torch.equal(value, before[name]) for name, value in stage.state_dict().items())


@pytest.mark.parametrize(("tokens", "width", "heads"), [(50, 64, 4), (7, 24, 3)])
def test_multihead_attention(tokens, width, heads):
    exact = 4 * tokens * width**2 + 2 * tokens**2 * width
    assert one(SelfAttention(width, heads), torch.rand(1, tokens, width)) == Cost(exact, exact)
    assert torch.backends.mha.get_fastpath_enabled()


def test_attention_to_other_tokens_of_another_width():
    class Attention(nn.Module):
        def forward(self, q, k, v):
            return F.scaled_dot_product_attention(q, k, v)

    cost = one(Attention(), torch.rand(1, 2, 5, 8), torch.rand(1, 2, 9, 8), torch.rand(1, 2, 9, 6))
    exact = 2 * 5 * 9 * (8 + 6)
    assert cost == Cost(exact, exact)


def test_yolos_with_and_without_the_fused_attention():
    def counted(attention):
        config = YolosConfig(
            hidden_size=48,
            num_hidden_layers=3,
            num_attention_heads=3,
            intermediate_size=96,
            image_size=[64, 64],
            num_detection_tokens=10,
            use_mid_position_embeddings=False,
            attn_implementation=attention,
        )
        model = YolosModel(config)

        class Hidden(nn.Module):
            def __init__(self):
                super().__init__()
                self.model = model

            def forward(self, pixels):
                return self.model(pixels).last_hidden_state

        return one(Hidden(), torch.rand(1, 3, 64, 64))

    tokens = 1 + 16 + 10
    layer = 4 * tokens * 48**2 + 2 * tokens * 48 * 96 + 2 * tokens**2 * 48
    exact = 16 * (3 * 16 * 16) * 48 + 3 * layer
    for attention in ("sdpa", "eager"):
        cost = counted(attention)
        assert cost.agree
        assert cost.cross_check == pytest.approx(cost.flops, rel=0.01)
        assert cost.flops == pytest.approx(exact, rel=0.01)


def test_ssdlite_counts_no_batch_norm():
    network = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)

    class Stage(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone, self.head = network.backbone, network.head

        def forward(self, x):
            return (), tuple(self.head(list(self.backbone(x).values())).values())

    (cost,) = flops_per_exit([Stage()], (torch.rand(1, 3, 320, 320),))
    assert cost.flops == cost.cross_check
    assert cost.flops == pytest.approx(583e6, rel=0.01)  # torchvision publishes 0.583 GFLOPS for these weights


def test_agree_within_five_percent():
    assert Cost(105, 100).agree
    assert not Cost(106, 100).agree
    assert not Cost(0, 100).agree
    assert Cost(0, 0).agree


def test_shared_parameters_count_once():
    linear = nn.Linear(3, 4)
    assert parameters(nn.Sequential(linear, nn.ReLU(), linear)) == 3 * 4 + 4
