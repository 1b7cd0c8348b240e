"""What pruning removes, what must stay, and what it refuses."""

from dataclasses import replace

import pytest
import torch

from models.errors import UserError
from models.ssdlite.exits import add_exits
from strategies import registry
from strategies.prune import Prune, check_intact
from tests.support.toys import Scenes, apply, candidate, no_score


def test_pruning_keeps_anchors_and_outputs_and_shrinks_the_rest():
    start = candidate()
    images = torch.randn(1, 3, 96, 96)
    made, calls = apply(Prune(epochs=1, learning_rate=1e-3, ratios=(0.25, 0.5)), start)
    sizes = [sum(p.numel() for p in one.detector.parameters()) for one in (start, *made)]
    assert sizes[0] > sizes[1] > sizes[2]
    for one in made:
        for ours, theirs in zip(one.detector(images)[0], start.detector(images)[0], strict=True):
            assert ours.shape == theirs.shape
        assert torch.equal(one.detector.loss.anchors, start.detector.loss.anchors)
    assert len(calls) == 2
    assert all({"exit1/distil-class", "exit1/distil-box"} <= set(call["losses"]) for call in calls)


@pytest.mark.slow
@pytest.mark.parametrize("importance", ["magnitude", "bn_scale", "taylor"])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_every_importance_and_scope_removes_channels(importance, scope):
    start = candidate(size=64)
    for module in start.detector.modules():  # untrained, all scales are alike
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.1, 1.0)
    (made,), _ = apply(
        Prune(epochs=1, learning_rate=1e-3, ratios=(0.4,), importance=importance, scope=scope, multiple=4), start
    )
    assert sum(p.numel() for p in made.detector.parameters()) < 0.8 * sum(
        p.numel() for p in start.detector.parameters()
    )
    assert set(made.variant.split("-")) == {"40pct", importance, scope} - {"taylor", "global"}


def test_small_layers_are_not_halved_for_a_few_percent():
    start = candidate(size=64)
    (made,), _ = apply(Prune(epochs=1, learning_rate=1e-3, ratios=(0.1,), importance="magnitude", scope="layer"), start)
    before, after = (
        [m.out_channels for m in one.detector.modules() if hasattr(m, "out_channels")] for one in (start, made)
    )
    assert min(before) == 16
    assert min(after) == 16
    nearest = [8 * max(1, int(0.9 * channels / 8 + 0.5)) for channels in before]
    assert all(now in (then, least) for now, then, least in zip(after, before, nearest, strict=True))
    assert sum(after) < 0.95 * sum(before)


@pytest.mark.slow
def test_pruning_in_steps_shares_the_epochs_and_ends_at_the_ratio():
    start = candidate(size=64)
    evenly = {"ratios": (0.5,), "importance": "magnitude", "scope": "layer", "multiple": 1}
    (once,), _ = apply(Prune(epochs=3, learning_rate=1e-3, **evenly), start)
    (twice,), calls = apply(Prune(epochs=3, learning_rate=1e-3, steps=2, **evenly), start)
    sizes = [sum(p.numel() for p in one.detector.parameters()) for one in (once, twice)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)
    assert [call["epochs"] for call in calls] == [2, 2]


def test_a_damaged_head_is_refused():
    whole, damaged = candidate().detector, candidate().detector
    images = list(torch.randn(2, 1, 3, 96, 96))
    check_intact(damaged, whole, images)
    block = damaged.stages[0].head.head.classification_head.module_list[0]
    block[1].weight.data[0] = float("nan")
    with pytest.raises(UserError, match="exit 1 answers with no numbers"):
        check_intact(damaged, whole, images)
    block[1] = torch.nn.Conv2d(block[1].in_channels, 6 * 2, 1)
    damaged.stages[0].head.head.classification_head.num_columns = 2
    damaged.decoders[0].anchors += 0.1
    with pytest.raises(UserError, match=r"anchors differ|another shape"):
        check_intact(damaged, whole, images)


def kill(detector, exit):
    """Make an exit's head say background everywhere, whatever it is shown."""
    for predictor in detector.stages[exit].head.predict:
        torch.nn.init.zeros_(predictor.answer.weight)
        predictor.answer.bias.data.view(-1, len(detector.classes) + 5)[:, : len(detector.classes) + 1] = torch.tensor(
            [20.0, 0, 0]
        )


def test_a_dead_head_is_refused_unless_it_came_dead():
    whole = add_exits(candidate(size=64).detector, (8,), (16,)).eval()
    damaged = whole.clone()
    images = list(torch.randn(2, 1, 3, 64, 64))
    kill(damaged, 0)
    with pytest.raises(UserError, match="exit 1 finds nothing on 2 training images, the unpruned one does"):
        check_intact(damaged, whole, images)
    kill(whole, 0)
    check_intact(damaged, whole, images)


def test_pruning_looks_at_its_result_on_training_images():
    def fit(detector, **_):
        kill(detector, 0)

    start = candidate(size=64)
    start = replace(start, detector=add_exits(start.detector, (8,), (16,)).eval())
    train = Scenes(count=3, size=64)
    with pytest.raises(UserError, match="exit 1 finds nothing on 3 training images"):
        Prune(ratios=(0.25,)).apply(start, fit=fit, score=no_score, train=train, val=Scenes(), seed=3)
    assert set(train.seen) == {0, 1, 2}


@pytest.mark.slow
def test_pruning_a_multi_exit_detector_keeps_its_exits():
    options = {
        "early_exit": {"epochs": 1, "learning_rate": 1e-3, "widths": [16, 24], "criteria": ["margin"]},
        "prune": {"epochs": 1, "learning_rate": 1e-3, "ratios": [0.3]},
    }
    (made,), _ = apply(registry.build("early_exit+prune", options))
    assert made.detector.exits == 3
    assert made.criteria == ("margin",)
