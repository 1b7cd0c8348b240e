"""Simulated int8: equal to rounding by hand, trainable through it, and gone without a trace."""

import pytest
import torch
from torch import nn

from models.detector import Detector
from models.fake_int8 import MOMENTUM, FakeInt8, extremes, round_input, round_weight
from models.ssdlite.exits import add_exits
from models.ssdlite.network import ssdlite


class Answer(nn.Module):
    """A stage with a convolution, batch norm, and a linear layer that answers."""

    def __init__(self):
        super().__init__()
        self.look = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.answer = nn.Linear(8, 6)

    def forward(self, images):
        raw = self.answer(self.look(images).flatten(2).transpose(1, 2))
        return (), (raw[..., :2], raw[..., 2:])


def toy() -> Detector:
    torch.manual_seed(0)
    detector = Detector([Answer()], nn.Identity(), None, None, ("a",), 8, family="ssdlite").eval()
    norm = detector.stages[0].look[1]
    nn.init.uniform_(norm.weight, -2, 2)
    nn.init.uniform_(norm.running_var, 0.1, 4)
    return detector


def images(count: int = 4, size: int = 8) -> list[torch.Tensor]:
    return list(torch.randn(count, 1, 3, size, size, generator=torch.Generator().manual_seed(1)))


def by_hand(x, weight, low, high):
    """The input as uint8 and the weight as int8, both back in floats."""
    step = (high - low) / 255
    zero = round(-low / step)
    x = (((x / step).round() + zero).clamp(0, 255) - zero) * step
    scale = weight.abs().flatten(1).amax(1).reshape(-1, *[1] * (weight.ndim - 1)) / 127
    return x, (weight / scale).round() * scale


def test_a_convolution_equals_rounding_by_hand():
    detector, calibration = toy(), images()
    fake = FakeInt8(detector, calibration, keep=("stages.0.answer",))
    low = sum(float(image.min()) for image in calibration) / len(calibration)
    high = sum(float(image.max()) for image in calibration) / len(calibration)
    stage, batch = detector.stages[0], torch.cat(images(6))
    x, weight = by_hand(batch, stage.look[0].weight, low, high)
    seen = stage.look[2](stage.look[1](nn.functional.conv2d(x, weight)))
    expected = stage.answer(seen.flatten(2).transpose(1, 2))
    assert torch.allclose(torch.cat(fake(detector, batch)[0], -1), expected, atol=1e-5)
    assert not torch.allclose(torch.cat(detector(batch)[0], -1), expected, atol=1e-3)


def test_a_linear_layer_is_rounded_too_unless_it_is_kept():
    detector, calibration = toy(), images()
    (whole,) = detector(calibration[0])
    everything = FakeInt8(detector, calibration)(detector, calibration[0])[0]
    only_linear = FakeInt8(detector, calibration, keep=("stages.0.look.0",))
    stage = detector.stages[0]
    seen = stage.look(calibration[0]).flatten(2).transpose(1, 2)
    x, weight = by_hand(seen, stage.answer.weight, *only_linear.ranges["stages.0.answer"].tolist())
    expected = nn.functional.linear(x, weight, stage.answer.bias)
    assert torch.allclose(torch.cat(only_linear(detector, calibration[0])[0], -1), expected, atol=1e-5)
    both = FakeInt8(detector, calibration, keep=("stages.0.look.0", "stages.0.answer"))(detector, calibration[0])[0]
    assert torch.equal(both[0], whole[0])
    assert not torch.equal(everything[0], whole[0])


def test_weights_round_the_same_before_and_after_batch_norm_is_folded():
    conv, norm = toy().stages[0].look[:2]
    factor = (norm.weight / (norm.running_var + norm.eps).sqrt()).reshape(-1, 1, 1, 1)
    assert (factor < 0).any()
    assert (factor > 0).any()
    assert torch.allclose(round_weight(conv.weight) * factor, round_weight(conv.weight * factor), atol=1e-6)


def test_ranges_reach_zero_and_nothing_but_zeros_stays_zero():
    x = torch.linspace(1, 2, 50)
    assert torch.allclose(round_input(x, torch.tensor([1.0, 2.0])), (x / (2 / 255)).round() * (2 / 255), atol=1e-6)
    assert torch.equal(round_input(torch.zeros(3), torch.zeros(2)), torch.zeros(3))
    assert torch.equal(round_weight(torch.zeros(2, 3)), torch.zeros(2, 3))


def test_ranges_are_calibrated_in_fp32_and_move_only_while_training():
    detector, calibration = toy(), images()
    before = detector.stages[0].look[1].running_mean.clone()
    fake = FakeInt8(detector.train(), calibration)
    assert torch.equal(detector.stages[0].look[1].running_mean, before)
    name = "stages.0.look.0"
    expected = torch.stack([extremes(image) for image in calibration]).mean(0)
    assert torch.allclose(fake.ranges[name], expected)
    assert torch.allclose(extremes(torch.cat(calibration)), expected)  # a batch is so many images
    batch = torch.cat([10 * image for image in images(3)])
    fake(detector, batch)
    assert torch.allclose(fake.ranges[name], expected)
    fake(detector.train(), batch)
    assert torch.allclose(fake.ranges[name], expected + MOMENTUM * (extremes(batch) - expected))


def test_gradients_pass_the_rounding_and_stop_where_inputs_are_cut_off():
    weight = torch.randn(4, 3, 3, 3, requires_grad=True)
    round_weight(weight).sum().backward()
    assert torch.equal(weight.grad, torch.ones_like(weight))
    x = torch.tensor([-2.0, -0.5, 0.5, 2.0], requires_grad=True)
    round_input(x, torch.tensor([-1.0, 1.0])).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("exits", [1, 2])
def test_a_detector_trains_through_it_and_comes_out_as_plain_fp32(exits):
    torch.manual_seed(0)
    detector = ssdlite(("a",), 64).eval()
    if exits == 2:
        detector = add_exits(detector, (8,), (16,)).eval()
    detector.to(memory_format=torch.channels_last)
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    calibration = images(2, 64)
    whole = detector(calibration[0])
    fake = FakeInt8(detector, calibration)

    copy = detector.clone()
    for ours, theirs in zip(fake(detector, calibration[0]), fake(copy, calibration[0]), strict=True):
        assert torch.equal(ours[0], theirs[0])
    rounded = fake(detector, calibration[0])
    assert len(rounded) == exits
    assert all(not torch.equal(ours[0], theirs[0]) for ours, theirs in zip(rounded, whole, strict=True))

    detector.train()
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    raws = fake(detector, torch.cat(calibration))
    sum(part.square().mean() for raw in raws for part in raw).backward()
    missed = {
        name for name, value in detector.named_parameters() if value.grad is None or not value.grad.isfinite().all()
    }
    assert missed == set()
    assert detector.stages[0].blocks[0][0].weight.grad.abs().sum() > 0

    detector.eval()
    after = detector.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], value) for key, value in before.items())
    for ours, theirs in zip(detector(calibration[0]), whole, strict=True):
        assert torch.equal(torch.cat(ours, -1), torch.cat(theirs, -1))
    assert not any(module._forward_pre_hooks for module in detector.modules())


def test_weights_that_int8_destroys_learn_to_withstand_it():
    teacher = toy()
    conv = teacher.stages[0].look[0]
    with torch.no_grad():
        conv.weight[:, 0, 0, 0] = 40  # changes no answer to images that are 0 there, but leaves the others few levels
    calibration = [image * torch.tensor([0.0, 1, 1]).reshape(3, 1, 1) for image in images(16)]
    batch = torch.cat(calibration)
    with torch.no_grad():
        goal = torch.cat(teacher(batch)[0], -1)

    def lost(detector):
        with torch.no_grad():
            answer = FakeInt8(detector, calibration)(detector, batch)[0]
        return float((torch.cat(answer, -1) - goal).square().mean())

    student = teacher.clone()
    fake = FakeInt8(student, calibration)
    optimizer = torch.optim.Adam(student.parameters(), 1e-2)
    for _ in range(100):
        student.train().stages[0].look[1].eval()
        optimizer.zero_grad()
        (torch.cat(fake(student, batch)[0], -1) - goal).square().mean().backward()
        optimizer.step()
    assert lost(student.eval()) < 0.4 * lost(teacher)


def test_no_hook_stays_behind_when_the_call_fails():
    detector = toy()
    fake = FakeInt8(detector, images())
    with pytest.raises(RuntimeError):
        fake(detector, torch.zeros(1, 5, 8, 8))
    assert not any(module._forward_pre_hooks for module in detector.modules())
