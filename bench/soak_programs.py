"""What a soak runs: programs of every sort, and how each must end."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.types import ExecutionResult
from bench.programs import PANDAS, PLOT, PRINT

Judge = Callable[[ExecutionResult], bool]


@dataclass(frozen=True, kw_only=True)
class Program:
    """One sort of program."""

    name: str
    code: str
    share: int
    """Of a hundred programs."""
    ends: Judge
    limits: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the request."""
    needs_input: bool = False
    cancelled: bool = False
    """Cancelled at a moment chosen by chance; then it need not end."""


def _well(result: ExecutionResult) -> bool:
    return result.success


def _stopped(*reasons: str) -> Judge:
    return lambda result: result.stopped_by in reasons


def _badly(result: ExecutionResult) -> bool:
    return not result.success


_DISK = """
while True:
    with open("/tmp/full", "ab") as file:
        file.write(bytes(1 << 22))
"""
_MEMORY = """
held = []
while True:
    held.append(b"x" * (1 << 24))
"""
_BACKGROUND = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
print("left one behind")
"""
_FILES = """
import pandas as pd
table = pd.read_csv("table.csv")
table.to_csv("copy.csv", index=False)
print(len(table))
"""
PROGRAMS = (
    Program(name="print", code=PRINT, share=20, ends=_well),
    Program(name="pandas", code=PANDAS, share=24, ends=_well),
    Program(name="plot", code=PLOT, share=2, ends=lambda r: r.success and len(r.artifacts) == 1),
    Program(
        name="files",
        code=_FILES,
        share=8,
        ends=lambda r: r.success and [each.name for each in r.artifacts] == ["copy.csv"],
        needs_input=True,
    ),
    Program(name="raises", code="1 / 0", share=5, ends=lambda r: r.returncode == 1),
    Program(name="exits", code="import os; os._exit(3)", share=5, ends=lambda r: r.returncode == 3),
    Program(
        name="segfault", code="import ctypes; ctypes.string_at(0)", share=5, ends=_stopped("killed")
    ),
    Program(
        name="kills itself",
        code="import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        share=5,
        ends=_stopped("killed"),
    ),
    Program(name="leaves a process", code=_BACKGROUND, share=5, ends=_well),
    Program(
        name="spins",
        code="while True: pass",
        share=2,
        ends=_stopped("timeout"),
        limits={"timeout_s": 0.3},
    ),
    Program(
        name="sleeps",
        code="import time; time.sleep(600)",
        share=3,
        ends=_stopped("timeout"),
        limits={"timeout_s": 0.3},
    ),
    Program(
        name="takes memory",
        code=_MEMORY,
        share=2,
        # The allocation is refused, or what was allocated is counted: either will do.
        ends=_badly,
        limits={"memory_mb": 256, "timeout_s": 10},
    ),
    Program(
        name="prints on",
        code="while True: print('x' * 100_000)",
        share=1,
        ends=_stopped("output", "timeout"),
        limits={"timeout_s": 5},
    ),
    Program(
        name="forks on",
        code="import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        share=1,
        ends=_stopped("processes", "timeout", "cpu", "memory"),
        limits={"timeout_s": 1},
    ),
    Program(name="fills the disk", code=_DISK, share=1, ends=_badly, limits={"timeout_s": 5}),
    Program(name="pandas, cancelled", code=PANDAS, share=6, ends=_well, cancelled=True),
    Program(
        name="sleeps, cancelled",
        code="import time; time.sleep(600)",
        share=5,
        ends=_stopped("timeout"),
        limits={"timeout_s": 5},
        cancelled=True,
    ),
)


def mixed(runs: int, seed: int) -> list[Program]:
    """So many of them in an order chosen by chance, the same one for the same seed."""
    chance = random.Random(seed)
    return chance.choices(PROGRAMS, weights=[each.share for each in PROGRAMS], k=runs)
