"""What each strategy hands back: shapes, costs and promises, without training."""

import pytest
import torch
from toys import OneStep, Scenes, candidate

from models.errors import UserError
from models.temperature import CLAMP
from strategies import registry
from strategies.baseline import Baseline
from strategies.early_exit import EarlyExit
from strategies.prune import Prune, check_intact
from strategies.quant import Quant
from strategies.resize import Resize
from strategies.truncate import Truncate


def apply(strategy, start=None, train=None):
    fit = OneStep()
    made = strategy.apply(start or candidate(), fit=fit, train=train or Scenes(), val=Scenes(), seed=3)
    return made, fit.calls


def test_a_loaded_baseline_is_returned_untouched_and_tuned():
    made, calls = apply(Baseline(epochs=1, rate=1e-3, pretrained=True))
    assert [one.variant for one in made] == ["loaded", "tuned"]
    assert made[0].detector is not made[1].detector
    assert len(calls) == 1


def test_a_baseline_from_scratch_is_one_candidate_and_inherits_nothing():
    made, calls = apply(Baseline(epochs=1, rate=1e-3, pretrained=False))
    assert [one.variant for one in made] == ["trained"]
    assert calls[0]["inherited"] == set()


def test_early_exit_trains_every_head_and_only_the_heads_are_new():
    start = candidate()
    (made,), (call,) = apply(EarlyExit(epochs=1, rate=1e-3, widths=(16, 24)), start)
    assert made.detector.exits == 3
    assert {key.split("/")[0] for key in call["losses"]} == {"exit1", "exit2", "exit3"}
    assert {"exit1/distil", "exit2/distil"} <= set(call["losses"])
    new = [m for m in made.detector.modules() if not list(m.children()) and m not in call["inherited"]]
    old = sum(p.numel() for p in start.detector.parameters())
    added = sum(p.numel() for m in new for p in m.parameters(recurse=False))
    assert added == sum(p.numel() for p in made.detector.parameters()) - old
    for stage in (0, 1):
        assert any(key.startswith(f"stages.{stage}.head") for key in call["touched"])
    assert all(CLAMP[0] <= float(stage.temperature) <= CLAMP[1] for stage in made.detector.stages)


def test_pruning_keeps_anchors_and_outputs_and_shrinks_the_rest():
    start = candidate()
    images = torch.randn(1, 3, 96, 96)
    made, calls = apply(Prune(epochs=1, rate=1e-3, ratios=(0.25, 0.5)), start)
    sizes = [sum(p.numel() for p in one.detector.parameters()) for one in (start, *made)]
    assert sizes[0] > sizes[1] > sizes[2]
    for one in made:
        for ours, theirs in zip(one.detector(images)[0], start.detector(images)[0], strict=True):
            assert ours.shape == theirs.shape
        assert torch.equal(one.detector.loss.anchors, start.detector.loss.anchors)
    assert len(calls) == 2
    assert all("distil" in call["losses"] for call in calls)


@pytest.mark.parametrize("importance", ["magnitude", "bn_scale", "taylor"])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_every_importance_and_scope_removes_channels(importance, scope):
    start = candidate(size=64)
    for module in start.detector.modules():  # untrained, all scales are alike
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.1, 1.0)
    (made,), _ = apply(Prune(epochs=1, rate=1e-3, ratios=(0.4,), importance=importance, scope=scope, multiple=4), start)
    assert sum(p.numel() for p in made.detector.parameters()) < 0.8 * sum(
        p.numel() for p in start.detector.parameters()
    )
    assert set(made.variant.split("-")) == {"40pct", importance, scope} - {"magnitude", "layer"}


def test_pruning_in_steps_shares_the_epochs_and_ends_at_the_ratio():
    start = candidate(size=64)
    (once,), _ = apply(Prune(epochs=3, rate=1e-3, ratios=(0.5,), multiple=1), start)
    (twice,), calls = apply(Prune(epochs=3, rate=1e-3, ratios=(0.5,), multiple=1, steps=2), start)
    sizes = [sum(p.numel() for p in one.detector.parameters()) for one in (once, twice)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)
    assert [call["epochs"] for call in calls] == [2, 2]


def test_a_damaged_head_is_refused():
    whole, damaged = candidate().detector, candidate().detector
    check_intact(damaged, whole)
    block = damaged.stages[0].head.head.classification_head.module_list[0]
    block[1].weight.data[0] = float("nan")
    with pytest.raises(UserError, match="exit 1 answers with no numbers"):
        check_intact(damaged, whole)
    block[1] = torch.nn.Conv2d(block[1].in_channels, 6 * 2, 1)
    damaged.stages[0].head.head.classification_head.num_columns = 2
    damaged.loss.anchors += 0.1
    with pytest.raises(UserError, match=r"anchors differ|another shape"):
        check_intact(damaged, whole)


def test_truncation_ends_after_a_block_with_one_exit_that_keeps_the_anchors():
    start = candidate()
    made, calls = apply(Truncate(epochs=1, rate=1e-3, widths=(16, 24)), start)
    assert [one.variant for one in made] == ["b8", "b12"]
    for one, blocks in zip(made, (9, 13), strict=True):
        assert one.detector.exits == 1
        assert len(one.detector.stages[0].blocks) == blocks
        assert (
            one.detector(torch.randn(1, 3, 96, 96))[0][0].shape == start.detector(torch.randn(1, 3, 96, 96))[0][0].shape
        )
    assert all("distil" in call["losses"] and call["inherited"] for call in calls)


def test_resizing_keeps_the_weights_and_sees_less():
    start = candidate(size=160)
    made, calls = apply(Resize(epochs=1, rate=1e-3, scales=(0.8, 0.61)), start)
    assert [(one.variant, one.detector.size) for one in made] == [("128px", 128), ("96px", 96)]
    for one in made:
        assert one.detector.state_dict().keys() == start.detector.state_dict().keys()
        size = one.detector.size
        probabilities, boxes = one.detector.decode(*one.detector(torch.randn(1, 3, size, size))[0])
        assert probabilities.shape[1] == boxes.shape[1] == len(one.detector.loss.anchors)
    assert len(calls) == 2


def test_quant_calibrates_on_training_images_only_and_keeps_the_detector():
    train, start = Scenes(count=5), candidate()
    (made,), calls = apply(Quant(images=3), start, train)
    assert (made.precision, len(made.calibration), calls) == ("int8", 3, [])
    assert made.detector is start.detector
    assert len(set(train.seen)) == 3


def test_composition_multiplies_candidates_and_joins_names():
    made, _ = apply(registry.build("prune+quant", {"prune": {"epochs": 1, "rate": 1e-3, "ratios": [0.25, 0.5]}}))
    assert [(one.strategy, one.variant, one.precision) for one in made] == [
        ("prune+quant", "25pct-int8", "int8"),
        ("prune+quant", "50pct-int8", "int8"),
    ]


def test_pruning_a_multi_exit_detector_keeps_its_exits():
    options = {
        "early_exit": {"epochs": 1, "rate": 1e-3, "widths": [16, 24]},
        "prune": {"epochs": 1, "rate": 1e-3, "ratios": [0.3]},
    }
    (made,), _ = apply(registry.build("early_exit+prune", options))
    assert made.detector.exits == 3
    assert made.criteria


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("erly_exit", {}, "did you mean 'early_exit'"),
        ("prune+qant", {}, "did you mean 'quant'"),
        ("prune", {"prune": {"ratio": 1}}, "did you mean 'ratios'"),
        ("prune", {"prune": {"epochs": "many", "rate": 1}}, "epochs"),
        ("prune", {"prune": {"importance": "size"}}, "importance"),
    ],
)
def test_wrong_names_and_options_are_one_clear_line(name, options, message):
    with pytest.raises(UserError, match=message):
        registry.build(name, options)


def test_third_parties_join_through_entry_points(monkeypatch):
    class Point:
        name = "mine"

        def load(self):
            return Quant

    monkeypatch.setattr(registry, "entry_points", lambda group: [Point()] if group == registry.GROUP else [])
    assert registry.build("mine", {"mine": {"images": 7}}) == Quant(images=7)


def test_no_strategy_is_ever_handed_the_test_split():
    import inspect

    for strategy in registry.available().values():
        assert set(inspect.signature(strategy.apply).parameters) == {
            "self",
            "start",
            "fit",
            "train",
            "val",
            "seed",
        }
