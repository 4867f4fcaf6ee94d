"""What makes forks cheaper changes nothing else."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

LARGE = """
from backend.sandbox.inside import speed
kept = bytearray(range(256)) * (64 << 10)
small = [str(number) for number in range(100_000)]
speed.use_large_pages()
assert kept == bytearray(range(256)) * (64 << 10)
assert small == [str(number) for number in range(100_000)]
print(open("/proc/self/smaps_rollup").read())
"""


def test_memory_on_large_pages_holds_what_it_held() -> None:
    said = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    on_large = re.search(r"AnonHugePages: +(\d+) kB", said.stdout)
    assert on_large is not None
    if on_large[1] == "0":
        pytest.skip("this kernel has no MADV_COLLAPSE (Linux 6.1)")
    assert int(on_large[1]) >= 8 * 1024
