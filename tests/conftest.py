"""Fixtures every test may use: the smallest real run, and the folder of real photographs, when there is one."""

import gc
import os
from pathlib import Path

# One thread for each worker, read when torch and numba are first imported: two workers with two threads each on two
# cores hinder each other, and sums in another order are other floats.
os.environ["OMP_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:
    # Numba replaces its files whole but numbers them unlocked: of two processes that compile one function for different
    # arguments, one may find the other's code under the number of its own.
    os.environ["NUMBA_CACHE_DIR"] = (
        f"{Path(__file__).parents[1]}/.pytest_cache/numba-{os.environ['PYTEST_XDIST_WORKER']}"
    )

import pytest
import torch
from filelock import FileLock
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")


def pytest_collection_finish() -> None:
    """What importing left in memory stays, so that no collection of garbage goes through it again: timing asks for
    many."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """What was kept from collection is given back, or libraries complain of leaks on the way out."""
    gc.unfreeze()


@pytest.fixture(autouse=True, scope="session")
def own_memory_of_images(tmp_path_factory):
    """No image counts as checked because an earlier session saw one like it."""
    place = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.data.checked.user_cache_path", lambda *args, **options: place)
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """One thread, whatever the test before left torch at: a run sets it."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> Path:
    """The folder of one run of `tests.support.tiny.tiny()`, made once for all workers. Only to be read: a test that
    writes into it copies it."""
    from bench.pipeline import run
    from tests.support.tiny import tiny

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny-run"
    with FileLock(f"{folder}.lock"):
        if not (folder / "made").exists():
            run(tiny(), folder)
            (folder / "made").touch()
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder that BENCH_SHARED names: real photographs and weights. Tests that ask for it skip without it."""
    folder = os.environ.get("BENCH_SHARED")
    if not folder:
        pytest.skip("set BENCH_SHARED to a folder with photographs and weights")
    return Path(folder).resolve()
