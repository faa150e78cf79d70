"""Memory that is kept instead of given back."""

import platform
import subprocess
import sys

import pytest

STEPS = """
import resource, sys
from walras.experiments.executors.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def step():
    blocks = [bytearray(b"x") * 2**26 for _ in range(2)]
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.nightly
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc, whose allocator is told")
def test_steps_find_the_memory_of_the_step_before() -> None:
    """The fewest of three: a machine that is short of memory takes pages back in between."""

    def faults(how: str) -> int:
        line = [sys.executable, "-c", STEPS, how]
        return min(int(subprocess.run(line, check=True, capture_output=True, text=True).stdout) for _ in range(3))

    leave, keep = faults("leave"), faults("keep")
    assert leave > 100
    assert keep < leave / 20
