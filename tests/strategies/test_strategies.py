"""What each strategy hands back: shapes, costs and promises, without training."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.errors import UserError
from models.ssdlite.exits import add_exits
from models.ssdlite.network import resized
from models.temperature import CLAMP
from strategies import registry
from strategies.baseline import Baseline
from strategies.early_exit import EarlyExit, heads_only, maps_and_goal
from strategies.prune import Prune, check_intact
from strategies.quant import Quant
from strategies.resize import Resize
from strategies.resolution_exit import ResolutionExit
from strategies.truncate import Truncate
from tests.support.toys import OneStep, Scenes, awake, candidate, no_score


def apply(strategy, start=None, train=None, score=no_score):
    fit = OneStep()
    made = strategy.apply(start or candidate(), fit=fit, score=score, train=train or Scenes(), val=Scenes(), seed=3)
    return made, fit.calls


def scores(**by_variant):
    """A score that knows each variant's mAP on val."""
    return lambda one: by_variant[one.variant.replace("-", "_")]


def test_a_loaded_baseline_is_returned_untouched_and_tuned():
    made, calls = apply(Baseline(epochs=1, learning_rate=1e-3, pretrained=True))
    assert [one.variant for one in made] == ["loaded", "tuned"]
    assert made[0].detector is not made[1].detector
    assert len(calls) == 1


def test_a_baseline_from_scratch_is_one_candidate_and_inherits_nothing():
    made, calls = apply(Baseline(epochs=1, learning_rate=1e-3, pretrained=False))
    assert [one.variant for one in made] == ["trained"]
    assert calls[0]["inherited"] == set()


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


def test_resolution_exits_answer_as_the_baseline_at_either_size():
    start = awake(96)
    (made,), calls = apply(ResolutionExit(scales=(0.7,)), start)
    assert not calls
    assert (made.strategy, made.variant, made.detector.exits) == ("resolution_exit", "64px", 2)
    picture = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    images = start.detector.to_input(picture)
    small = resized(start.detector, 64).eval()
    shrunk = torch.nn.functional.interpolate(images, size=(64, 64), mode="bilinear")
    goals = (small(shrunk)[0], start.detector(images)[0])
    for raw, goal, stage in zip(made.detector(images), goals, made.detector.stages, strict=True):
        assert torch.allclose(raw[0] * stage.temperature, goal[0], atol=1e-5)
        assert torch.allclose(raw[1], goal[1], atol=1e-5)
    with pytest.raises(UserError, match="stay below 96 px"):
        apply(ResolutionExit(scales=(1.0,)), start)


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


def distilled(losses):
    return sum(float(value.detach()) for name, value in losses.items() if "distil" in name)


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


def test_without_labels_only_the_teacher_is_learnt_from():
    for strategy in (
        Prune(epochs=1, learning_rate=1e-3, ratios=(0.5,), labels=0.0),
        Truncate(epochs=1, after=(8,), widths=(16,), labels=0.0),
        EarlyExit(joint_epochs=1, widths=(16, 24), labels=0.0),
    ):
        _, calls = apply(strategy, candidate())
        assert calls[0]["losses"]
        assert all("distil" in name for name in calls[0]["losses"])
        assert "labels 0.0" in calls[0]["options"]


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


def test_every_block_to_end_at_needs_a_width():
    with pytest.raises(UserError, match="needs a width"):
        apply(Truncate(epochs=1, after=(8,)))
    with pytest.raises(UserError, match=r"within 6\.\.16"):
        apply(Truncate(epochs=1, after=(3,), widths=(16,)))


def test_truncation_ends_after_a_block_with_one_exit_that_keeps_the_anchors():
    start = candidate()
    made, calls = apply(Truncate(epochs=1, learning_rate=1e-3, widths=(16, 24)), start)
    assert [one.variant for one in made] == ["b8", "b12"]
    for one, blocks in zip(made, (9, 13), strict=True):
        assert one.detector.exits == 1
        assert len(one.detector.stages[0].blocks) == blocks
        assert (
            one.detector(torch.randn(1, 3, 96, 96))[0][0].shape == start.detector(torch.randn(1, 3, 96, 96))[0][0].shape
        )
    assert all("exit1/distil-class" in call["losses"] and call["inherited"] for call in calls)


def test_resizing_keeps_the_weights_and_sees_less():
    start = candidate(size=160)
    made, calls = apply(Resize(epochs=1, learning_rate=1e-3, scales=(0.8, 0.61)), start)
    assert [(one.variant, one.detector.size) for one in made] == [("128px", 128), ("96px", 96)]
    for one in made:
        assert one.detector.state_dict().keys() == start.detector.state_dict().keys()
        size = one.detector.size
        logits, code = one.detector(torch.randn(1, 3, size, size))[0]
        assert logits.shape[1] == one.detector.decoders[0](code).shape[1] == len(one.detector.loss.anchors)
    assert len(calls) == 2


def test_quant_calibrates_on_training_images_only_and_keeps_the_detector():
    train, start = Scenes(count=5), candidate()
    (made,), calls = apply(Quant(images=3), start, train, scores(trained=0.5, int8=0.495))
    assert (made.variant, made.precision, len(made.calibration), calls) == ("int8", "int8", 3, [])
    assert made.detector is start.detector
    assert len(set(train.seen)) == 3
    assert "mAP 0.495 on val, fp32 0.500" in made.note


def test_where_int8_loses_too_much_a_second_candidate_is_fine_tuned_to_withstand_it():
    start = awake()
    before = {key: value.clone() for key, value in start.detector.state_dict().items()}
    train = Scenes(size=64)
    (plain, aware), (call,) = apply(
        Quant(images=3, epochs=4), start, train, scores(trained=0.5, int8=0.4, int8_aware=0.48)
    )
    assert (plain.variant, aware.variant) == ("int8", "int8-aware")
    assert plain.detector is start.detector
    assert aware.detector is not start.detector
    assert all(torch.equal(value, before[key]) for key, value in start.detector.state_dict().items())
    assert list(aware.detector.state_dict()) == list(before)
    assert (aware.precision, len(aware.calibration)) == ("int8", 3)
    assert (call["name"], call["epochs"]) == ("quant-aware", 4)
    assert call["inherited"] == set(aware.detector.modules())
    assert distilled(call["losses"]) > 1e-6  # weights are the teacher's: only int8 sets them apart
    assert "mAP 0.480 on val, plain mAP 0.400 on val, fp32 0.500" in aware.note
    assert "more than 2%" in aware.note


def test_the_teacher_of_int8_is_the_start_and_not_what_learns():
    def fit(detector, *, objective, **_):
        for parameter in detector.parameters():
            torch.nn.init.zeros_(parameter)
        losses = objective(detector, torch.randn(1, 3, 64, 64), Scenes().targets([0]))
        assert distilled(losses) > 1

    train, score = Scenes(size=64), scores(trained=0.5, int8=0.4, int8_aware=0.5)
    Quant(images=1).apply(awake(), fit=fit, score=score, train=train, val=Scenes(), seed=3)


@pytest.mark.parametrize(
    ("options", "reached", "variants"),
    [
        ({}, 0.4901, ["int8"]),
        ({}, 0.4899, ["int8", "int8-aware"]),
        ({"tolerance": 0.3}, 0.4, ["int8"]),
        ({"epochs": 0}, 0.1, ["int8"]),
    ],
)
def test_the_tolerance_decides_whether_quant_trains(options, reached, variants):
    score = scores(trained=0.5, int8=reached, int8_aware=0.5)
    made, _ = apply(Quant(images=1, **options), candidate(size=64), score=score)
    assert [one.variant for one in made] == variants


def test_what_is_int8_already_is_not_quantized_again():
    with pytest.raises(UserError, match="int8 already"):
        apply(registry.build("quant+quant", {}), score=lambda one: 0.5)


def test_pruning_a_multi_exit_detector_keeps_its_exits():
    options = {
        "early_exit": {"epochs": 1, "learning_rate": 1e-3, "widths": [16, 24], "criteria": ["margin"]},
        "prune": {"epochs": 1, "learning_rate": 1e-3, "ratios": [0.3]},
    }
    (made,), _ = apply(registry.build("early_exit+prune", options))
    assert made.detector.exits == 3
    assert made.criteria == ("margin",)


def test_no_strategy_is_ever_handed_the_test_split():
    import inspect

    for strategy in registry.STRATEGIES.all().values():
        assert set(inspect.signature(strategy.apply).parameters) == {
            "self",
            "initial",
            "fit",
            "score",
            "train",
            "val",
            "seed",
        }
