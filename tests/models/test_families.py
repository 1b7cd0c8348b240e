"""What can be said of a model and its weights before anything is built."""

import pytest

from models.errors import UserError
from models.families import FAMILIES, MODELS, check, detects, family_of, origin


@pytest.mark.parametrize(
    ("weights", "can", "words"),
    [
        (None, False, "from scratch"),
        ("trunk.safetensors", False, "around a trained trunk"),
        ("torchvision", True, "from stock weights"),
        ("hustvl/yolos-small", True, "from stock weights"),
    ],
)
def test_a_trunk_alone_cannot_detect(weights, can, words):
    assert detects(weights) == can
    assert origin(weights) == words


def test_every_model_has_a_family():
    assert {family_of(name) for name in MODELS} == set(FAMILIES)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("yolos", 128, None, 50), "use a square number, such as 49"),
        (("yolos-small", 128, "hustvl/yolos-small", 49), "has no queries to choose"),
        (("ssdlite", 128, None, 49), "ssdlite has no queries"),
        (("yolos", 100, None, None), "whole number of patches"),
        (("yolo", 96, None, None), "did you mean 'yolos'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_built(arguments, said):
    with pytest.raises(UserError) as raised:
        check(*arguments)
    assert said in str(raised.value)
