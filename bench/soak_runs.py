"""The longest part of a soak: thousands of programs, most of them ill-mannered, and what they cost."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from backend.errors import PythonCoderError
from backend.sandbox import ExecutionRequest, ExecutionResult, Executor
from bench.memory import zygote_pids
from bench.processes import resident_mib
from bench.soak_programs import Program

SAMPLES = 20
"""Of memory, over all runs."""
MAX_GROWTH_MIB = 8.0
"""Over the second half of the runs; the first half is for caches to fill."""
_MAX_CANCEL_S = 0.05
"""Until a run is cancelled that is to be cancelled: before, at and after its start."""
_MAX_KEPT = 20


@dataclass(kw_only=True)
class Runs:
    """What became of the programs."""

    ended: Counter[str] = field(default_factory=Counter)
    """By name of the program, those that ended as they must."""
    cancelled: int = 0
    strange: list[str] = field(default_factory=list)
    """Those that did not end as they must."""
    server_mib: list[float] = field(default_factory=list)
    zygote_mib: list[float] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Programs that are over."""
        return self.ended.total() + self.cancelled + len(self.strange)

    def sample(self) -> None:
        """Note the memory of this process and of the zygotes below it."""
        self.server_mib.append(resident_mib())
        with suppress(OSError):
            self.zygote_mib.append(sum(map(resident_mib, zygote_pids())))


async def run_all(
    executor: Executor, programs: Sequence[Program], parallel: int, seed: int, table: Path
) -> Runs:
    """Run programs, some at a time, and look at how each ends.

    Args:
        executor: an open one.
        programs: in this order.
        parallel: at a time.
        seed: of the moments of cancelling.
        table: a CSV file that some of them read.
    """
    seen = Runs()
    chance = random.Random(seed)
    pending = iter(programs)
    every = max(1, len(programs) // SAMPLES)

    async def worker() -> None:
        for program in pending:
            await _run_one(executor, program, chance.uniform(0, _MAX_CANCEL_S), table, seen)
            if seen.done % every == 0:
                seen.sample()

    await asyncio.gather(*(worker() for _ in range(parallel)))
    return seen


async def _run_one(
    executor: Executor, program: Program, moment_s: float, table: Path, seen: Runs
) -> None:
    request = ExecutionRequest(
        code=program.code,
        files={"table.csv": table} if program.needs_input else {},
        **program.limits,
    )
    running = asyncio.create_task(executor.run(request))
    if program.cancelled:
        await asyncio.wait({running}, timeout=moment_s)
        running.cancel()
    try:
        result = await running
    except asyncio.CancelledError:
        seen.cancelled += 1
        return
    except PythonCoderError as error:
        seen.strange.append(f"{program.name}: {error}")
        return
    if program.ends(result):
        seen.ended[program.name] += 1
    else:
        seen.strange.append(f"{program.name}: {_brief(result)}")


def _brief(result: ExecutionResult) -> str:
    said = result.stderr.strip().rpartition("\n")[2]
    return f"exit {result.returncode}, stopped by {result.stopped_by}, said {said[:200]!r}"


def growth_mib(samples: Sequence[float]) -> float | None:
    """What the line through the second half of the samples rises; None for too few of them."""
    half = samples[len(samples) // 2 :]
    if len(half) < SAMPLES // 2:
        return None
    slope, _ = statistics.linear_regression(range(len(half)), half)
    return slope * (len(half) - 1)


def report(seen: Runs) -> tuple[list[str], list[str]]:
    """Lines to print, and faults among them."""
    told = ", ".join(f"{count} {name}" for name, count in sorted(seen.ended.items()))
    lines = [f"{seen.done} runs: {told}, {seen.cancelled} cancelled"]
    faults = [f"ended otherwise: {each}" for each in seen.strange[:_MAX_KEPT]]
    if len(seen.strange) > _MAX_KEPT:
        faults.append(f"{len(seen.strange)} ended otherwise in all")
    for name, samples in (("server", seen.server_mib), ("zygote", seen.zygote_mib)):
        growth = growth_mib(samples)
        if growth is None:
            lines.append(f"memory of the {name}: too few samples to say")
            continue
        lines.append(
            f"memory of the {name}: {samples[0]:.1f} MiB at first, {samples[-1]:.1f} at last, "
            f"{growth:+.1f} over the second half, at most {MAX_GROWTH_MIB:g} allowed"
        )
        if growth > MAX_GROWTH_MIB:
            faults.append(f"the memory of the {name} grows")
    return lines, faults
