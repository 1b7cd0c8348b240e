"""A multi-exit detector small enough for tests, deployed as PyTorch runs it, and generated images to show it."""

from pathlib import Path

import torch

from bench.data.shapes import CLASSES, shapes
from bench.data.split import Dataset
from bench.runtimes import Deployed, deploy
from models.ssdlite.exits import add_exits
from models.ssdlite.network import ssdlite
from strategies.base import Candidate

SIZE = 64


def deployed(folder: Path, criteria: tuple[str, ...] = ()) -> Deployed:
    """Three exits with random weights, spread so that answers depend on the image."""
    torch.manual_seed(0)
    detector = add_exits(ssdlite(CLASSES, SIZE), (8, 12), (16, 24))
    for module in detector.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    candidate = Candidate("early_exit", "b8-12", detector.eval(), criteria=criteria)
    return deploy(candidate, "eager", threads=1, folder=folder)


def data(train: int = 8, val: int = 6, test: int = 6) -> Dataset:
    return shapes(0, train, val, test, size=SIZE)
