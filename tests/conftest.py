"""Fixtures every test may use: the folder of real photographs, when there is one."""

import os
from pathlib import Path

import pytest
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
