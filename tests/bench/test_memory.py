"""What malloc keeps does not have to be fetched again, and afterwards it keeps no more than before."""

import subprocess
import sys

import pytest

# In a process of its own: what others have left of the heap decides where a block comes to lie.
FAULTS = """
import resource
import torch
from bench.memory import kept_memory

def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.empty(96 * 2**20, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
faults(1)
before = faults(5)
with kept_memory():
    faults(1)
    inside = faults(5)
print(before, inside, faults(5))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_a_block_that_is_kept_is_fetched_once():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    before, inside, after = map(int, done.stdout.split())
    assert inside < before / 10
    assert after > before / 2
