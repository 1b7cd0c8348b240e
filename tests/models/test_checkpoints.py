"""Trained checkpoints load again: what a detector stores has the names, the order and the shapes it always had."""

import hashlib

import pytest

from models.detector import Detector
from models.families import build
from models.resolution import resolution_chain
from models.ssdlite.exits import add_exits
from models.yolos.network import multi_exit

KNOWN = {  # by the first version whose checkpoints have to load
    "ssdlite": (477, "6359f617b56dc50a"),
    "ssdlite with exits": (731, "d0671456acbba4a4"),
    "ssdlite with light late exits": (530, "69fc83c51fd05723"),
    "ssdlite that localises early": (554, "a8d49ca0cbe595a8"),
    "ssdlite by resolution": (954, "2fd325b09934b7f6"),
    "yolos": (251, "fc0182c297d19569"),
    "yolos with exits": (287, "cbefe2c4a2a32c6d"),
    "yolos by resolution": (502, "386fe3e52fc7172c"),
}
MAKE = {
    "": lambda plain: plain,
    "with exits": lambda plain: (
        add_exits(plain, (8, 12), (16, 24)) if plain.family == "ssdlite" else multi_exit(plain, (3, 6), (0.5, 0.25))
    ),
    "with light late exits": lambda plain: add_exits(plain, (6, 14, 16), (16, 16, 16), head="light", context="none"),
    "that localises early": lambda plain: add_exits(plain, (8,), (16,), localise=True),
    "by resolution": lambda plain: resolution_chain(plain, (64,)),
}


def layout(detector: Detector) -> tuple[int, str]:
    """How many tensors are stored, and a hash of their names and shapes in order."""
    lines = [f"{name} {tuple(part.shape)}" for name, part in detector.state_dict().items()]
    return len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_stored_is_called_as_ever(name):
    model, _, how = name.partition(" ")
    assert layout(MAKE[how](build(model, ("a", "b"), 96, None))) == KNOWN[name]
