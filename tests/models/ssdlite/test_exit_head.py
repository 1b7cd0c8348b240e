"""Exit heads: which rows answer for which place, what their parts compute, and what is handed on of what they say."""

import numpy as np
import pytest
import torch
from torch import nn

from models.ssdlite.exit_head import (
    Halve,
    SpatialAttention,
    answer,
    attention,
    light,
    pyramid,
    silent_mix,
)
from models.ssdlite.network import ANCHORS_PER_CELL, CONTEXT_CHANNELS, context_map, level_sides

OUTPUTS = 3  # background and two classes
SIDES = level_sides(320)


def randomised(head: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.1)
    return head.eval()


@pytest.mark.parametrize("make", [pyramid, light])
@pytest.mark.parametrize(("side", "stride", "sides"), [(20, 1, SIDES), (40, 2, SIDES), (10, 1, SIDES[1:])])
@torch.inference_mode()
def test_it_answers_for_every_anchor_of_the_full_model_s_levels(make, side, stride, sides):
    head = make(8, 16, OUTPUTS, levels=len(sides), stride=stride).eval()
    logits, code = head(torch.randn(2, 8, side, side))
    anchors = ANCHORS_PER_CELL * sum(one * one for one in sides)
    assert logits.shape == (2, anchors, OUTPUTS)
    assert code.shape == (2, anchors, 4)


@pytest.mark.parametrize("make", [pyramid, light])
@torch.inference_mode()
def test_rows_are_the_levels_in_turn_the_finest_first(make):
    """A level's own answer layer moves that level's rows and no others."""
    head, x = randomised(make(8, 16, OUTPUTS)), torch.randn(1, 8, 20, 20)
    before = head(x)[0].clone()
    ends = np.cumsum([0] + [ANCHORS_PER_CELL * side * side for side in SIDES])
    for level, layer in enumerate(head.answer_layers()):
        bias = layer.bias.clone()
        layer.bias += 1.0
        moved = (head(x)[0] != before).all(-1)[0]
        layer.bias.copy_(bias)
        assert torch.nonzero(moved).flatten().tolist() == list(range(ends[level], ends[level + 1]))


@torch.inference_mode()
def test_a_row_is_that_of_its_place_and_anchor():
    """The finest level against its answer layer, place by place: rows go by y, then x, then anchor."""
    head, x = randomised(light(8, 16, OUTPUTS, levels=1)), torch.randn(1, 8, 4, 4)
    logits, code = head(x)
    said = head.answer_layers()[0](head.enter(x))[0].numpy()  # [anchors * (outputs + 4), 4, 4]
    for y, x, anchor in ((0, 0, 0), (0, 3, 5), (2, 1, 3), (3, 3, 5)):
        row = (y * 4 + x) * ANCHORS_PER_CELL + anchor
        expected = said[anchor * (OUTPUTS + 4) : (anchor + 1) * (OUTPUTS + 4), y, x]
        np.testing.assert_array_equal(np.r_[logits[0, row], code[0, row]], expected)


@pytest.mark.parametrize("make", [pyramid, light])
def test_the_answer_layers_are_those_that_hold_classes_and_boxes(make):
    layers = make(8, 16, OUTPUTS).answer_layers()
    assert len(layers) == len(SIDES)
    assert {layer.out_channels for layer in layers} == {ANCHORS_PER_CELL * (OUTPUTS + 4)}


def test_a_new_answer_is_all_but_silent():
    torch.manual_seed(0)
    layer = answer(64, OUTPUTS)
    assert not layer.bias.any()
    assert layer.weight.std().item() == pytest.approx(0.03, rel=0.1)


@torch.inference_mode()
def test_spatial_attention_weighs_places_by_their_mean_and_their_maximum():
    module, x = SpatialAttention(), torch.randn(2, 5, 9, 9)
    nn.init.zeros_(module.look.weight)
    nn.init.constant_(module.look.bias, 0.5)
    module.look.weight[0, 0, 3, 3], module.look.weight[0, 1, 3, 3] = 2.0, -3.0  # the place itself, of 7x7
    given = x.numpy()
    mean, most = given.mean(1, keepdims=True), given.max(1, keepdims=True)
    expected = given / (1 + np.exp(-(2 * mean - 3 * most + 0.5)))
    np.testing.assert_allclose(module(x), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("kind", "parts"), [("none", 0), ("se", 1), ("cbam", 2)])
@torch.inference_mode()
def test_attention_keeps_the_shape_and_never_adds(kind, parts):
    modules = attention(kind, 16)
    x = torch.randn(2, 16, 6, 6)
    weighed = nn.Sequential(*modules)(x)
    assert len(modules) == parts
    assert torch.equal(weighed, x) == (parts == 0)
    assert (weighed.abs() <= x.abs()).all()


@pytest.mark.parametrize("side", [1, 2, 3, 5, 10])
def test_halving_takes_the_largest_of_two_by_two(side):
    x = torch.randn(1, 2, side, side)
    half = -(-side // 2)
    cells = [[x[..., 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].amax((-1, -2)) for j in range(half)] for i in range(half)]
    expected = torch.stack([torch.stack(row, -1) for row in cells], -2)
    assert torch.equal(Halve()(x), expected)


def test_context_is_foreground_and_box_code_place_by_place():
    side, coarser = 4, 24
    rows = side * side * ANCHORS_PER_CELL
    logits = torch.randn(2, rows + coarser, OUTPUTS, requires_grad=True)
    deltas = torch.randn(2, rows + coarser, 4, requires_grad=True)
    context = context_map(logits, deltas, side)
    assert context.shape == (2, CONTEXT_CHANNELS, side, side)
    assert not context.requires_grad, "a deeper exit must not train the one before it"
    raised = np.exp(logits.detach().numpy())
    foreground = 1 - raised[..., 0] / raised.sum(-1)
    for y, x, anchor in ((0, 0, 0), (1, 3, 2), (3, 0, 5)):
        row = (y * side + x) * ANCHORS_PER_CELL + anchor
        expected = np.c_[foreground[:, row], deltas.detach()[:, row]]
        np.testing.assert_allclose(context[:, 5 * anchor : 5 * anchor + 5, y, x], expected, rtol=1e-4, atol=1e-6)


def test_what_is_mixed_in_starts_at_nothing_and_can_learn():
    mix = silent_mix(7)
    mixed = mix(torch.randn(1, CONTEXT_CHANNELS, 3, 3))
    assert mixed.shape == (1, 7, 3, 3)
    assert not mixed.any()
    mixed.sum().backward()
    assert mix.weight.grad.any()
