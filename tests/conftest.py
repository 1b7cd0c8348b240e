"""Fixtures every test may use: the folder of real photographs, when there is one."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder that BENCH_SHARED names: real photographs and weights. Tests that ask for it skip without it."""
    folder = os.environ.get("BENCH_SHARED")
    if not folder:
        pytest.skip("set BENCH_SHARED to a folder with photographs and weights")
    return Path(folder).resolve()


@pytest.fixture(scope="module")
def one_thread():
    """torch on one thread: sums in another order are other floats, so answers that are compared come from as many."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
