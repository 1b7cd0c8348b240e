"""What a detector carries along when it is made into another one."""

import pytest
import torch
from torch import nn

from models.detector import Detector, merged
from models.families import build
from models.resolution import resolution_chain
from models.ssdlite.exits import add_exits
from models.ssdlite.exits import alone as shallower_ssdlite
from models.yolos.network import alone as shallower_yolos
from models.yolos.network import multi_exit


def test_a_detector_has_no_family_unless_it_is_said():
    with pytest.raises(TypeError, match="family"):
        Detector([nn.Identity()], nn.Identity(), None, None, ("a",), 8)


@pytest.mark.parametrize("model", ["ssdlite", "yolos"])
def test_whatever_is_made_of_a_detector_stays_in_its_family(model):
    plain = build(model, ("a",), 96, None).eval()
    chain = add_exits(plain, (8,), (16,), context="none") if model == "ssdlite" else multi_exit(plain, (3,))
    alone = {"ssdlite": shallower_ssdlite, "yolos": shallower_yolos}[model]
    for made in (chain, alone(chain, 0), resolution_chain(plain, (64,)), merged(chain)):
        assert made.family == model
        assert made.classes == plain.classes
        assert made.size == plain.size


def test_merged_stages_answer_as_the_chain_does_last():
    chain, images = add_exits(build("ssdlite", ("a",), 96, None), (8,), (16,)).eval(), torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        (one,), (*_, last) = merged(chain)(images), chain(images)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(one, last, strict=True))
