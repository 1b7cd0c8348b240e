"""A scan's exits: after every block or layer there is, heads alone, with the options its family understands."""

import pytest
import torch

from models.errors import UserError
from models.families import build, of_model, shallower
from strategies.all_positions import exits_at_all_positions, options_of, positions_of
from strategies.base import Candidate
from tests.support.toys import OneStep, Scenes, no_score


def start(model: str) -> Candidate:
    torch.manual_seed(0)
    return Candidate("baseline", "trained", build(model, ("a",), 96, None).eval())


def test_places_are_all_but_the_last_ones_own():
    assert positions_of(start("ssdlite").detector) == tuple(range(6, 17))
    assert positions_of(start("yolos").detector) == tuple(range(1, 12))


@pytest.mark.parametrize("model", ["ssdlite", "yolos"])
def test_every_exit_stands_alone_as_it_answers_in_the_chain(model):
    fit, from_ = OneStep(), start(model)
    places = positions_of(from_.detector)
    strategy = exits_at_all_positions(from_.detector, places, options_of(of_model(model), {"epochs": 1, "labels": 1.0}))
    (made,) = strategy.apply(from_, fit=fit, score=no_score, train=Scenes(), val=Scenes(3), seed=0)
    assert len(fit.calls) == 1  # nothing is trained together
    assert made.detector.exits == len(places) + 1
    images = torch.rand(2, 3, 96, 96) * 2 - 1
    with torch.no_grad():
        chain = made.detector(images)
        for exit in range(len(places)):
            (raw,) = shallower(made.detector).alone(made.detector, exit).eval()(images)
            assert all(torch.allclose(mine, own, atol=1e-5) for mine, own in zip(raw, chain[exit], strict=True))


def test_options_are_the_familys_usual_ones_unless_said_otherwise():
    assert options_of(of_model("ssdlite"), {"epochs": 3, "width": None})["width"] == 128
    assert options_of(of_model("yolos"), {"epochs": 3, "width": None}) == {
        "epochs": 3,
        "learning_rate": 1e-3,
        "augmentations": 2,
        "distil": 1.0,
        "labels": 1.0,
    }
    with pytest.raises(UserError, match="yolos has no width"):
        options_of(of_model("yolos"), {"width": 64})
