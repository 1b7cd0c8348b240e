"""What int8 is calibrated on, and when it is trained to withstand it."""

import pytest
import torch

from models.errors import UserError
from strategies import registry
from strategies.quant import Quant
from tests.support.toys import Scenes, apply, awake, candidate, distilled


def scores(**by_variant):
    """A score that knows each variant's mAP on val."""
    return lambda one: by_variant[one.variant.replace("-", "_")]


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
