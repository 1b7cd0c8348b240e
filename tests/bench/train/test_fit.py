"""Training is repeatable, resumes to the same weights it would have reached, and repeats nothing it has done."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from bench.train.batches import Batches
from bench.train.fit import Trainer, parameter_groups, weights_hash
from models.errors import UserError
from models.families import build
from models.ssdlite.network import ssdlite
from strategies.base import plain_objective
from strategies.distil import finetune
from tests.support.source import Source


@pytest.fixture(scope="module")
def batches() -> Batches:
    return Batches(Source(8), 64)


def fresh():
    torch.manual_seed(0)
    return ssdlite(("a",), 64)


def train(batches: Batches, folder: Path, objective=plain_objective, epochs: int = 2, **changes):
    detector = changes.pop("detector", None) or fresh()
    trainer = Trainer(batches, "datahash", folder, batch_size=4, seed=0)
    return trainer(detector, name="toy", objective=objective, epochs=epochs, learning_rate=1e-3, **changes)


def test_same_seed_same_weights_and_training_changes_them(batches, tmp_path):
    one, two = train(batches, tmp_path / "one"), train(batches, tmp_path / "two")
    assert weights_hash(one) == weights_hash(two) != weights_hash(fresh())
    assert not one.training


@pytest.mark.slow
def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(batches, tmp_path):
    whole = train(batches, tmp_path / "whole", epochs=3)
    steps = []

    def interrupted(detector, images, targets):
        steps.append(1)
        if len(steps) == 4:  # in the second of three epochs of two steps
            raise KeyboardInterrupt
        return plain_objective(detector, images, targets)

    with pytest.raises(KeyboardInterrupt):
        train(batches, tmp_path / "broken", objective=interrupted, epochs=3)
    (part,) = (tmp_path / "broken").glob("*.part")
    assert torch.load(part, weights_only=True)["epoch"] == 1
    resumed = train(batches, tmp_path / "broken", epochs=3)
    assert weights_hash(resumed) == weights_hash(whole)
    assert not list((tmp_path / "broken").glob("*.part"))


@pytest.mark.slow
def test_what_is_trained_is_found_again_unless_anything_changed(batches, tmp_path):
    calls = []

    def counted(detector, images, targets):
        calls.append(1)
        return plain_objective(detector, images, targets)

    first = train(batches, tmp_path, objective=counted)
    assert len(calls) == 4
    again = train(batches, tmp_path, objective=counted)
    assert len(calls) == 4
    assert weights_hash(first) == weights_hash(again)
    torch.manual_seed(1)
    train(batches, tmp_path, objective=counted, detector=ssdlite(("a",), 64))
    assert len(calls) == 8
    train(batches, tmp_path, objective=counted, options="labels 0")
    assert len(calls) == 12


def test_inherited_batch_norms_keep_their_statistics_and_others_do_not(batches, tmp_path):
    detector = fresh()
    kept, moved = detector.stages[0].blocks, detector.stages[0].head
    before = {name: value.clone() for name, value in detector.named_buffers() if "running_mean" in name}
    train(batches, tmp_path, detector=detector, pretrained_modules=tuple(kept.modules()))
    after = dict(detector.named_buffers())
    for name, value in before.items():
        assert torch.equal(value, after[name]) == name.startswith("stages.0.blocks"), name
    assert sum(1 for _ in moved.modules()) > 10


def test_rates_of_inherited_and_new_parameters():
    detector = fresh()
    groups = parameter_groups(detector, (detector.stages[0].blocks,), 1.0, 0.1, {})
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert len(rates) == len(list(detector.parameters()))
    assert {rates[id(p)] for p in detector.stages[0].blocks.parameters()} == {0.1}
    assert {rates[id(p)] for p in detector.stages[0].head.parameters()} == {1.0}


def test_rates_by_name_multiply_the_others_and_the_longest_beginning_counts():
    detector = fresh()
    given = {"stages.0.head": 0.5, "stages.0.head.head": 0.0, "stages.0.he": 7.0, "stages.0.blocks": 0.5}
    groups = parameter_groups(detector, (detector.stages[0].blocks,), 1.0, 0.1, given)
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    frozen = {name for name, parameter in detector.named_parameters() if id(parameter) not in rates}
    assert frozen == {name for name, _ in detector.named_parameters() if name.startswith("stages.0.head.head.")}
    assert not any(part.requires_grad for name, part in detector.named_parameters() if name in frozen)
    assert {rates[id(p)] for p in detector.stages[0].head.tail.parameters()} == {0.5}
    assert {rates[id(p)] for p in detector.stages[0].blocks.parameters()} == {0.1 * 0.5}


@pytest.mark.parametrize("model", ["ssdlite", "yolos"])
def test_mixed_precision_says_nearly_what_full_precision_says(batches, model):
    """On the CPU, whose bfloat16 rounds as a GPU's does."""
    torch.manual_seed(0)
    detector = build(model, ("a",), 64, None).train()
    images, targets = next(iter(batches.epoch(4, 0)))
    full = plain_objective(detector, images, targets)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = plain_objective(detector, images, targets)
    total = torch.stack(list(rounded.values())).sum()
    assert total.dtype == torch.float32
    assert total.item() == pytest.approx(torch.stack(list(full.values())).sum().item(), rel=0.02)
    assert total.item() != torch.stack(list(full.values())).sum().item()
    total.backward()
    assert all(part.grad.isfinite().all() for part in detector.parameters() if part.grad is not None)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_trains_and_hands_the_detector_and_its_teacher_back(tmp_path):
    source, teacher = Batches(Source(8), 64, "cuda"), fresh()
    trainer = Trainer(source, "datahash", tmp_path, batch_size=4, seed=0, device="cuda")
    detector = fresh()
    options = {"epochs": 2, "learning_rate": 1e-3, "distil": 1.0, "labels": 1.0}
    finetune(detector, teacher=teacher, fit=trainer, name="toy", **options)
    assert weights_hash(detector) != weights_hash(fresh()) == weights_hash(teacher)
    assert {part.device.type for one in (detector, teacher) for part in one.parameters()} == {"cpu"}


def test_a_loss_that_is_no_number_stops_at_once(batches, tmp_path):
    def broken(detector, images, targets):
        return {"class": plain_objective(detector, images, targets)["exit1/class"] * float("nan")}

    with pytest.raises(UserError, match="no longer a number: class"):
        train(batches, tmp_path, objective=broken)
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize("prepared", [False, True])
def test_a_training_stored_under_the_first_names_of_its_parameters_is_found_again(batches, tmp_path, prepared):
    """The keys of a fingerprint are older than the parameters' names: written out here, for they may never change."""
    detector = fresh()
    head = tuple(detector.stages[0].head.modules())
    recipe = {"name": "toy", "options": "some", "epochs": 0, "rate": 0.25, "inherited_rate": 0.5, "batch": 4}
    recipe |= {"seed": 7, "data": "datahash", "start": weights_hash(detector), "inherited": len(head)}
    recipe |= {"rates": {"stages.0": 0.5}} | ({"views": 3} if prepared else {})
    name = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]
    Trainer(batches, "datahash", tmp_path, batch_size=4, seed=7)(
        detector,
        name="toy",
        objective=plain_objective,
        epochs=0,
        learning_rate=0.25,
        pretrained_modules=head,
        pretrained_lr_scale=0.5,
        rates={"stages.0": 0.5},
        options="some",
        prepare=(lambda detector, images: (images,)) if prepared else None,
        augmentations=3,
    )
    assert [path.name for path in tmp_path.iterdir()] == [f"toy-{name}.safetensors"]


def test_one_image_at_once_is_refused_where_batch_norm_cannot_learn_from_it(batches, tmp_path):
    with pytest.raises(UserError, match=r"training toy: 1 image at once, .*SSDLite .*more training images"):
        train(Batches(Source(1), 64), tmp_path)
    lone = Trainer(batches, "datahash", tmp_path, batch_size=1, seed=0)
    with pytest.raises(UserError, match="raise batch_size"):
        lone(fresh(), name="toy", objective=plain_objective, epochs=1, learning_rate=1e-3)


def test_two_images_are_enough_and_one_is_for_layer_norm(tmp_path):
    assert not train(Batches(Source(2), 64), tmp_path / "two", epochs=1).training
    torch.manual_seed(0)
    yolos = build("yolos", ("a",), 64, None)
    assert not train(Batches(Source(1), 64), tmp_path / "one", detector=yolos, epochs=1).training
