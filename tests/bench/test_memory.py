"""What malloc keeps does not have to be fetched again, and afterwards it keeps no more than before."""

import resource
import sys

import pytest
import torch

from bench.memory import kept_memory

BLOCK, PAGE = 32 * 2**20, 4096


def faults(times: int) -> int:
    """Page faults of filling and dropping a block so many times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.empty(BLOCK, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_a_block_that_is_kept_is_fetched_once():
    faults(1)
    dropped = faults(5)
    with kept_memory():
        faults(1)
        kept = faults(5)
    assert kept < dropped / 10
    assert faults(5) > dropped / 2
