"""How exits are built and in which order they are trained, without training."""

import pytest
import torch

from models.errors import UserError
from models.temperature import CLAMP
from strategies.early_exit import EarlyExit, heads_only, maps_and_goal
from tests.support.toys import apply, awake, candidate


def test_early_exit_trains_every_head_and_only_the_heads_are_new():
    start = candidate()
    (made,), (call,) = apply(EarlyExit(joint_epochs=1, widths=(16, 24)), start)
    assert made.detector.exits == 3
    parts = ("class", "box", "distil-class", "distil-box")
    assert set(call["losses"]) == {f"exit{number}/{part}" for number in (1, 2, 3) for part in parts}
    new = [m for m in made.detector.modules() if not list(m.children()) and m not in call["inherited"]]
    old = sum(p.numel() for p in start.detector.parameters())
    added = sum(p.numel() for m in new for p in m.parameters(recurse=False))
    assert added == sum(p.numel() for p in made.detector.parameters()) - old
    for stage in (0, 1):
        assert any(key.startswith(f"stages.{stage}.head") for key in call["touched"])
    assert all(CLAMP[0] <= float(stage.temperature) <= CLAMP[1] for stage in made.detector.stages)


@pytest.mark.parametrize("after", [(8, 12), (12, 14), (6,)])
def test_heads_are_trained_first_on_a_frozen_trunk_and_then_everything(after):
    start, images = candidate(), torch.randn(1, 3, 96, 96)
    options = {"after": after, "widths": (16,) * len(after), "labels": 0.0, "temperatures": False}
    _, (heads, joint) = apply(EarlyExit(epochs=1, joint_epochs=1, **options), start)
    parts = {tuple(key.split(".")[1:3]) for key in heads["touched"]}
    assert {int(stage) for stage, _ in parts} == set(range(len(after)))
    assert {part for _, part in parts} <= {"head", "mix"}
    assert any("blocks" in key for key in joint["touched"])
    (frozen,), (only,) = apply(EarlyExit(epochs=1, joint_epochs=0, **options), start)
    assert only["losses"]
    for ours, theirs in zip(frozen.detector(images)[-1], start.detector(images)[0], strict=True):
        assert torch.equal(ours, theirs)


def test_kept_maps_give_the_heads_what_the_whole_chain_gives_them():
    for after, options in (((8, 12), {}), ((7, 12, 14), {}), ((8, 12), {"localise": True})):
        start, images = awake(), torch.randn(2, 3, 64, 64)
        strategy = EarlyExit(joint_epochs=0, after=after, widths=(16,) * len(after), **options)
        detector = strategy.build(start.detector).eval()
        *kept, logits, deltas = maps_and_goal(detector, start.detector, images)
        for ours, theirs in zip(heads_only(detector, kept), detector(images), strict=False):
            assert torch.equal(ours[0], theirs[0])
            assert torch.equal(ours[1], theirs[1])
        (goal,) = start.detector(images)
        assert torch.allclose(logits, goal[0], atol=1e-5)
        assert torch.allclose(deltas, goal[1], atol=1e-5)


def test_untempered_exits_keep_temperature_one():
    (made,), _ = apply(EarlyExit(joint_epochs=1, widths=(16, 24), temperatures=False), candidate())
    assert made.variant == "b8-12"
    assert [float(stage.temperature) for stage in made.detector.stages] == [1.0] * 3


def test_positions_that_cannot_be_are_one_clear_line():
    for options in ({"after": (5, 12)}, {"after": (12, 14), "localise": True}, {"widths": (16,)}):
        with pytest.raises(UserError, match=r"strategy early_exit: .*(6\.\.|zip)"):
            apply(EarlyExit(**options), candidate())
