"""Multi-exit YOLOS: what it builds and trains, and that pruning and its rivals understand the family."""

import pytest
import torch

from models.errors import UserError
from models.families import build
from models.yolos.auxiliary import AuxiliaryLosses
from models.yolos.network import multi_exit
from strategies.base import Candidate
from strategies.baseline import Baseline
from strategies.early_exit import EarlyExit
from strategies.multi_exit_yolos import MultiExitYolos, pretrained_modules, queries_of_exits
from strategies.prune import Prune, prune_channels
from strategies.resize import Resize
from strategies.resolution_exit import ResolutionExit
from strategies.truncate import Truncate
from tests.support.toys import OneStep, Scenes


def start(model: str = "yolos") -> Candidate:
    torch.manual_seed(0)
    return Candidate("baseline", "trained", build(model, ("a",), 96, None).eval())


def apply(strategy, from_: Candidate, fit=None) -> list[Candidate]:
    fit = fit or OneStep()
    return strategy.apply(from_, fit=fit, score=lambda one: 0.5, train=Scenes(), val=Scenes(3), seed=0)


def test_exits_are_built_and_both_trainings_asked_for():
    fit, from_ = OneStep(), start()
    (made,) = apply(MultiExitYolos(epochs=2, joint_epochs=1), from_, fit)
    assert made.variant == "l3-6-9"
    assert made.detector.exits == 4
    assert [call["name"] for call in fit.calls] == ["multi_exit_yolos-heads", "multi_exit_yolos"]


def test_heads_are_asked_what_they_would_be_asked_in_the_chain():
    (made,) = apply(MultiExitYolos(after=(3, 6), epochs=0), start())
    images = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        kept = queries_of_exits(made.detector, images)
        expected = made.detector(images)
        found = [stage.answer(queries) for stage, queries in zip(made.detector.stages, kept, strict=True)]
    assert all(
        torch.equal(a, b)
        for mine, theirs in zip(found, expected, strict=True)
        for a, b in zip(mine, theirs, strict=True)
    )


def test_only_inner_heads_are_new():
    (made,) = apply(MultiExitYolos(after=(6,), epochs=0, temperatures=False), start())
    old = {id(part) for module in pretrained_modules(made.detector) for part in module.parameters(recurse=False)}
    new = {name for name, part in made.detector.named_parameters() if id(part) not in old}
    assert new == {f"stages.0.head.{name}" for name, _ in made.detector.stages[0].head.named_parameters()}


@pytest.mark.parametrize("after", [(0,), (12,), (6, 3)])
def test_impossible_exits_are_a_clear_error(after):
    with pytest.raises(UserError, match="exits must follow"):
        apply(MultiExitYolos(after=after), start())


def test_a_cut_for_one_family_is_refused_by_the_other():
    with pytest.raises(UserError, match="it is for ssdlite"):
        apply(EarlyExit(), start())
    with pytest.raises(UserError, match="it is for yolos"):
        apply(MultiExitYolos(), start("ssdlite"))


def test_smaller_inputs_are_for_every_family():
    (made,) = apply(Resize(scales=(0.7,)), start())
    assert made.detector.size == 64
    (chain,) = apply(ResolutionExit(scales=(0.7,)), start())
    assert chain.detector.exits == 2


def test_pruning_takes_whole_heads_and_the_width_of_feed_forward_parts():
    detector = start().detector.clone()
    prune_channels(detector, 0.5, "magnitude", "layer", 8)
    (stage,) = detector.stages
    attention = stage.layers[0].layer.attention.attention
    assert attention.num_attention_heads == 2
    assert attention.query.out_features == attention.value.out_features == 64
    assert stage.layers[0].layer.intermediate.dense.out_features == 128
    assert stage.head.classes.layers[-1].out_features == 2
    ((logits, boxes),) = detector(torch.rand(1, 3, 96, 96))
    assert logits.shape == (1, 49, 2)
    assert boxes.isfinite().all()


@pytest.mark.slow
def test_a_chain_of_resolutions_stays_a_yolos_and_loses_whole_heads_at_every_one():
    (chain,) = apply(ResolutionExit(scales=(0.7,)), start())
    assert chain.detector.family == "yolos"
    prune = Prune(ratios=(0.5,), importance="magnitude", scope="layer", epochs=1, trunk_lr_scale=0.5, layer_decay=0.5)
    fit = OneStep()
    (made,) = apply(prune, chain, fit)
    small, full = made.detector.stages[0].stage, made.detector.stages[1]
    for stage in (small, full):
        for layer in stage.layers:
            attention = layer.layer.attention.attention
            assert (attention.num_attention_heads, attention.query.out_features) == (2, 64)
    rates = fit.calls[0]["rates"]
    for before in ("stages.0.stage", "stages.1"):
        assert (rates[f"{before}.layers.11"], rates[f"{before}.embed"]) == (0.5, 0.5**13)
        assert rates[f"{before}.embed.queries"] == 1
    learned = {name.partition(".embed")[0] for name in fit.calls[0]["touched"] if ".embed." in name}
    assert learned == {"stages.0.stage", "stages.1"}


def test_a_pruned_yolos_is_fine_tuned_and_checked():
    fit = OneStep()
    (made,) = apply(Prune(ratios=(0.25,), importance="magnitude", epochs=1), start(), fit)
    (call,) = fit.calls
    assert call["name"] == "prune-0.25"
    assert {"exit1/distil-class", "exit1/class", "exit1/patches-class", "exit1/back1/l1"} <= set(call["losses"])
    before, after = (sum(part.numel() for part in one.detector.parameters()) for one in (start(), made))
    assert after < before


def test_a_baseline_around_a_trunk_lets_it_learn_less_and_its_queries_all():
    fit = OneStep()
    (made,) = apply(Baseline(epochs=1, trunk_lr_scale=0.5, layer_decay=0.5), start(), fit)
    rates = fit.calls[0]["rates"]
    assert rates["stages.0.layers.11"] == 0.5
    assert rates["stages.0.layers.9"] == 0.125
    assert rates["stages.0.embed"] == 0.5**13
    names = [name for name, _ in made.detector.named_parameters()]
    assert rates["stages.0.embed.queries"] == 1
    assert "stages.0.embed.queries" in names
    assert not any(name.startswith("stages.0.head") for name in rates)


def test_a_baseline_is_asked_what_its_auxiliary_losses_say():
    fit = OneStep()
    (made,) = apply(Baseline(epochs=1, auxiliary_losses={"every": 0, "patches": False, "denoise": 1}), start(), fit)
    (call,) = fit.calls
    parts = ("class", "l1", "giou")
    assert set(call["losses"]) == {f"exit1/{before}{part}" for part in parts for before in ("", "denoise-")}
    assert call["options"] == "denoise 1 every 0 patches False"
    assert made.detector.auxiliary_losses == AuxiliaryLosses(every=0, patches=False, denoise=1)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [Prune, Truncate])
def test_what_comes_of_a_trunk_learns_at_its_rates(strategy):
    """As the baseline did; without labels from the teacher alone."""
    fit = OneStep()
    apply(strategy(epochs=1, trunk_lr_scale=0.5, layer_decay=0.5, labels=0), start(), fit)
    assert all(call["rates"]["stages.0.embed"] < call["rates"]["stages.0.layers.2"] <= 0.5 for call in fit.calls)
    assert fit.calls[0]["rates"]["stages.0.embed.queries"] == 1
    assert all(name.startswith("exit1/distil-") for call in fit.calls for name in call["losses"])


def test_ssdlite_has_no_auxiliary_losses():
    with pytest.raises(UserError, match="ssdlite has no"):
        apply(Baseline(epochs=1, auxiliary_losses={"groups": 1}), start("ssdlite"))


def test_truncation_ends_after_a_layer_and_learns_from_the_whole():
    fit, from_ = OneStep(), start()
    made = apply(Truncate(epochs=1), from_, fit)
    assert [one.variant for one in made] == ["l3", "l6"]
    assert [call["name"] for call in fit.calls] == ["truncate-3", "truncate-6"]
    images = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        for one, expected in zip(made, multi_exit(from_.detector, (3, 6))(images), strict=False):
            (raw,) = one.detector(images)
            assert all(torch.equal(a, b) for a, b in zip(raw, expected, strict=True))
    assert {name.split("/")[1] for name in fit.calls[0]["losses"]} >= {"distil-class", "class", "giou"}
    with pytest.raises(UserError, match="exits must follow"):
        apply(Truncate(epochs=1, after=(12,)), start())
